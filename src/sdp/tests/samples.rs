//! Offers as phones, exchanges and browsers send them: name, text, and what comes of them.

pub const CISCO: &str = "v=0\r\n\
o=Cisco-SIPUA 26527 0 IN IP4 198.51.100.20\r\n\
s=SIP Call\r\n\
b=AS:4064\r\n\
t=0 0\r\n\
m=audio 16466 RTP/AVP 9 0 8 116 18 101\r\n\
c=IN IP4 198.51.100.20\r\n\
b=TIAS:64000\r\n\
a=rtpmap:9 G722/8000\r\n\
a=rtpmap:0 PCMU/8000\r\n\
a=rtpmap:8 PCMA/8000\r\n\
a=rtpmap:116 iLBC/8000\r\n\
a=fmtp:116 mode=20\r\n\
a=rtpmap:18 G729/8000\r\n\
a=fmtp:18 annexb=yes\r\n\
a=rtpmap:101 telephone-event/8000\r\n\
a=fmtp:101 0-15\r\n\
a=sendrecv\r\n";

const ASTERISK: &str = "v=0\r\n\
o=- 1822742157 1822742157 IN IP4 198.51.100.30\r\n\
s=Asterisk\r\n\
c=IN IP4 198.51.100.30\r\n\
t=0 0\r\n\
m=audio 18234 RTP/AVP 8 0 3 101\r\n\
a=rtpmap:8 PCMA/8000\r\n\
a=rtpmap:0 PCMU/8000\r\n\
a=rtpmap:3 GSM/8000\r\n\
a=rtpmap:101 telephone-event/8000\r\n\
a=fmtp:101 0-16\r\n\
a=ptime:20\r\n\
a=maxptime:150\r\n\
a=sendrecv\r\n";

const LINPHONE: &str = "v=0\r\n\
o=anna 3747 1532 IN IP4 198.51.100.40\r\n\
s=Talk\r\n\
c=IN IP4 198.51.100.40\r\n\
t=0 0\r\n\
a=ice-pwd:31ac6dbbfa5eb5b0a9cb5c4d\r\n\
a=ice-ufrag:7a9a7f1d\r\n\
a=rtcp-xr:rcvr-rtt=all:10000 stat-summary=loss,dup,jitt,TTL voip-metrics\r\n\
a=record:off\r\n\
m=audio 7078 RTP/AVPF 96 97 98 0 8 101 99\r\n\
c=IN IP4 203.0.113.40\r\n\
a=rtpmap:96 opus/48000/2\r\n\
a=fmtp:96 useinbandfec=1\r\n\
a=rtpmap:97 speex/16000\r\n\
a=fmtp:97 vbr=on\r\n\
a=rtpmap:98 speex/8000\r\n\
a=fmtp:98 vbr=on\r\n\
a=rtpmap:101 telephone-event/48000\r\n\
a=rtpmap:99 telephone-event/8000\r\n\
a=rtcp:58043 IN IP4 203.0.113.40\r\n\
a=candidate:1 1 UDP 2130706303 198.51.100.40 7078 typ host\r\n\
a=candidate:2 1 UDP 1694498687 203.0.113.40 58042 typ srflx raddr 198.51.100.40 rport 7078\r\n\
a=rtcp-fb:* trr-int 5000\r\n\
a=rtcp-fb:* ccm tmmbr\r\n\
m=video 9078 RTP/AVPF 96\r\n\
a=rtpmap:96 VP8/90000\r\n\
a=rtcp-fb:* nack pli\r\n";

const BROWSER: &str = "v=0\r\n\
o=- 4611731400430051336 2 IN IP4 127.0.0.1\r\n\
s=-\r\n\
t=0 0\r\n\
a=group:BUNDLE 0 1\r\n\
a=extmap-allow-mixed\r\n\
a=msid-semantic: WMS stream\r\n\
m=audio 9 UDP/TLS/RTP/SAVPF 111 63 9 0 8 13 110 126\r\n\
c=IN IP4 0.0.0.0\r\n\
a=rtcp:9 IN IP4 0.0.0.0\r\n\
a=ice-ufrag:Oyef\r\n\
a=ice-pwd:g5zHnpPBaXhXqW4Z6m3WhSVB\r\n\
a=ice-options:trickle\r\n\
a=fingerprint:sha-256 19:E2:1C:3B:4B:9F:81:E6:B8:5C:F4:A5:A8:D8:73:04:BB:05:2F:70:9F:04:A9:0E:05:E9:26:33:E8:70:88:A2\r\n\
a=setup:actpass\r\n\
a=mid:0\r\n\
a=sendrecv\r\n\
a=rtcp-mux\r\n\
a=rtpmap:111 opus/48000/2\r\n\
a=rtcp-fb:111 transport-cc\r\n\
a=fmtp:111 minptime=10;useinbandfec=1\r\n\
a=rtpmap:63 red/48000/2\r\n\
a=fmtp:63 111/111\r\n\
a=rtpmap:9 G722/8000\r\n\
a=rtpmap:0 PCMU/8000\r\n\
a=rtpmap:8 PCMA/8000\r\n\
a=rtpmap:13 CN/8000\r\n\
a=rtpmap:110 telephone-event/48000\r\n\
a=rtpmap:126 telephone-event/8000\r\n\
a=ssrc:3570614608 cname:4TOk42mSjXCkVIa6\r\n\
m=video 9 UDP/TLS/RTP/SAVPF 96 97\r\n\
c=IN IP4 0.0.0.0\r\n\
a=mid:1\r\n\
a=rtpmap:96 VP8/90000\r\n\
a=rtpmap:97 rtx/90000\r\n\
a=fmtp:97 apt=96\r\n";

const BROWSER_THROUGH_GATEWAY: &str = "v=0\r\n\
o=- 20518 0 IN IP4 203.0.113.1\r\n\
s=-\r\n\
t=0 0\r\n\
c=IN IP4 203.0.113.1\r\n\
a=group:BUNDLE a b\r\n\
m=audio 54609 UDP/TLS/RTP/SAVPF 109 0 8\r\n\
a=mid:a\r\n\
a=rtpmap:109 opus/48000\r\n\
m=audio 54609 RTP/AVP 0 8\r\n\
a=mid:b\r\n";

const TRUNK_OVER_IPV6: &str = "v=0\n\
o=trunk 12345678901234567890 1 IN IP6 2001:db8::20\n\
s=-\n\
c=IN IP6 2001:db8::20\n\
t=0 0\n\
m=audio 30000 RTP/AVP 8 18 96\n\
a=rtpmap:96 telephone-event/8000\n\
a=fmtp:96 0-15,32\n\
a=fmtp:18 annexb=no\n\
a=ptime:30\n";

const OLD_GATEWAY_ON_HOLD: &str = "v=0\r\n\
o=- 1 2 IN IP4 198.51.100.50\r\n\
s=-\r\n\
c=IN IP4 0.0.0.0\r\n\
t=0 0\r\n\
m=audio 4000 RTP/AVP 0\r\n";

const G729_ONLY: &str = "v=0\r\n\
o=- 1 1 IN IP4 198.51.100.60\r\n\
s=-\r\n\
c=IN IP4 198.51.100.60\r\n\
t=0 0\r\n\
m=audio 4000 RTP/AVP 18 4 97 101\r\n\
a=rtpmap:97 AMR-WB/16000\r\n\
a=rtpmap:101 telephone-event/8000\r\n";

const FAX_ONLY: &str = "v=0\r\n\
o=- 1 1 IN IP4 198.51.100.70\r\n\
s=-\r\n\
c=IN IP4 198.51.100.70\r\n\
t=0 0\r\n\
m=audio 0 RTP/AVP 8\r\n\
m=image 4002 udptl t38\r\n\
a=T38FaxVersion:0\r\n";

pub const VIDEO_FAX_AND_TWO_AUDIOS: &str = "v=0\r\n\
o=- 1 1 IN IP4 198.51.100.80\r\n\
s=-\r\n\
c=IN IP4 198.51.100.80\r\n\
t=0 0\r\n\
m=video 4002 RTP/AVP 96 97\r\n\
a=rtpmap:96 H264/90000\r\n\
m=audio 4004 RTP/SAVP 0 8\r\n\
a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj\r\n\
m=audio 4000 RTP/AVP 8\r\n\
m=image 4006 udptl t38\r\n\
m=audio 4008 RTP/AVP 0\r\n\
m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n";

/// Name, offer, and the line that tells what came of it.
pub const OFFERS: &[(&str, &str, &str)] = &[
    (
        "Cisco phone",
        CISCO,
        "PCMU under 0, the first we speak of G722, PCMU, PCMA, iLBC, G729; digits under 101; 20 ms, we sendrecv",
    ),
    ("Asterisk", ASTERISK, "PCMA under 8, the first we speak of PCMA, PCMU, GSM; digits under 101; 20 ms, we sendrecv"),
    (
        "Linphone",
        LINPHONE,
        "PCMU under 0, the first we speak of opus, speex/16000, speex, PCMU, PCMA; digits under 99; \
         20 ms, we sendrecv; refused: m-line 2 (video)",
    ),
    ("browser", BROWSER, "no audio over plain RTP: m-line 1 (audio over UDP/TLS/RTP/SAVPF), m-line 2 (video)"),
    (
        "browser through a gateway that offers plain RTP, too",
        BROWSER_THROUGH_GATEWAY,
        "PCMU under 0, the first we speak of PCMU, PCMA; no digits; 20 ms, we sendrecv; \
         refused: m-line 1 (audio over UDP/TLS/RTP/SAVPF)",
    ),
    (
        "trunk over IPv6",
        TRUNK_OVER_IPV6,
        "PCMA under 8, the first we speak of PCMA, G729; digits under 96; 30 ms, we sendrecv",
    ),
    (
        "old gateway on hold",
        OLD_GATEWAY_ON_HOLD,
        "PCMU under 0, the first we speak of PCMU; no digits; 20 ms, we recvonly",
    ),
    ("G.729 only", G729_ONLY, "no common codec: G729, G723, AMR-WB/16000 offered"),
    ("fax only", FAX_ONLY, "no audio over plain RTP: m-line 1 (audio with port 0), m-line 2 (image)"),
    (
        "video, fax and two audios",
        VIDEO_FAX_AND_TWO_AUDIOS,
        "PCMA under 8, the first we speak of PCMA; no digits; 20 ms, we sendrecv; refused: m-line 1 (video), \
         m-line 2 (audio over RTP/SAVP), m-line 4 (image), m-line 5 (a second audio), m-line 6 (application)",
    ),
];

/// Lines to be thrown together.
pub const LINES: &[&str] = &[
    "m=audio 5004 RTP/AVP 0 8 101",
    "m=audio 5004 RTP/AVP 96 8 0 127",
    "m=audio 5006/2 rtp/avpf 8",
    "m=AUDIO 65535 RTP/AVP 0 0 8 8",
    "m=audio 0 RTP/AVP 0",
    "m=audio 5008 RTP/SAVP 0",
    "m=audio 5008 RTP/AVP",
    "m=video 5010 RTP/AVP 31",
    "m=image 5012 udptl t38",
    "m=application 0 TCP",
    "c=IN IP4 198.51.100.9",
    "c=IN IP4 0.0.0.0",
    "c=IN IP6 2001:db8::9",
    "a=rtpmap:0 PCMA/8000",
    "a=rtpmap:96 PCMU/8000",
    "a=rtpmap:8 opus/48000/2",
    "a=rtpmap:101 telephone-event/8000",
    "a=rtpmap:127 PCMA/8000/1",
    "a=fmtp:101 0-16",
    "a=ptime:30",
    "a=ptime:0",
    "a=maxptime:15",
    "a=rtcp:5",
    "a=rtcp:65536 IN IP4 x",
    "a=sendonly",
    "a=inactive",
    "a=recvonly",
    "o=- 1 2 IN IP4 198.51.100.1",
];
