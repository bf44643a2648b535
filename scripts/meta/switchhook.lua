---@meta
-- What every Switchhook script finds, for the Lua language server (LuaLS): completion, types, and help while you type.
-- Put `"workspace.library": ["scripts/meta"]` into its settings. This file is never run.
--
-- Times are seconds (1.5 is one and a half). What can go wrong in normal operation comes back as `nil, reason, detail`;
-- mistakes in the script raise an error.

---A function that failed: why.
---@alias Reason
---| "hangup"            # the call is gone
---| "wrong_state"       # the call is not in a state for this, such as answering twice
---| "no_such_call"      # that leg is gone
---| "no_such_recording" # that recording ended
---| "no_such_phone"     # no phone of ours has this number or user
---| "disk"              # the disk took no more of the recording; what it took can be played
---| "no_answer"         # dial: nobody answered in time
---| "busy"              # dial: busy
---| "refused"           # dial: refused; detail is the SIP status code
---| "unreachable"       # dial: no way there
---| "sound"             # the sound cannot be had; detail says why
---| "stream"            # the audio cannot be streamed; detail says why
---| "media"             # no audio in common; detail says why
---| "limit"             # a limit of the configuration; detail says which
---| "store"             # the store failed; detail says why
---| "cannot_wait"       # called from where Lua cannot wait

---A sound: a WAV, MP3 or Ogg file or a play list (.m3u) below the prompt folder, the http(s) address of one, or a table that
---says what to speak, which tone, or how long silence.
---@alias Sound string|SpokenSound|ToneSound|SilentSound

---@class SpokenSound
---@field say string Text to be spoken, at most 4000 characters.
---@field language? string BCP 47 tag such as "en-US".
---@field voice? string The speech engine's own name of a voice.

---@class ToneSound
---@field tone string|integer|integer[] "beep", "ringing", "busy", "congestion", "dial", or one or two frequencies in Hz.
---@field seconds? number How long.
---@field country? string Whose cadence: ISO 3166 letters such as "de".

---@class SilentSound
---@field silence number Seconds.

---What is known of the caller's signature (STIR/SHAKEN).
---@class Stir
---@field verdict "passed"|"failed"|"unsigned" Whether the caller's provider signed this call.
---@field attest? "A"|"B"|"C" What the signer says of the number: A the caller's own, B a known caller, C neither.
---@field reason? string Why it did not pass: "missing", "stale", "wrong_caller", "expired", "bad_signature", ...
---@field origid? string The signer's name for where the call came from.

---The call that this flow is about, or a phone that it dialled.
---@class Call
---@field id string The id that logs and call records carry.
---@field caller string Number of the caller; "anonymous" where there is none.
---@field caller_name string Name of the caller, perhaps empty.
---@field called string Number that was called.
---@field sip_call_id string The SIP Call-ID.
---@field phone string? The phone of ours that calls, by its user: proven by its password; nil: somebody else.
---@field trunk string? The trunk that the call came from; nil: none.
---@field source string Where the call came from, "address:port".
---@field inbound boolean False: Switchhook made this call.
---@field stir? Stir The caller's signature; nil where callers are not verified.
---@field headers table<string, string> Header fields whose names begin with X-; upper and lower case are the same.
---@field target? string A phone that was dialled: its SIP URI.
---@field index? integer A phone that was dialled: its place in the list of targets.
call = {}

---Answer. Returns when the caller's side has confirmed.
---@return true? ok
---@return Reason? reason
function call:answer() end

---Let the caller hear ringing (180).
---@return true? ok
---@return Reason? reason
function call:ring() end

---Open early audio to the caller before answering (183).
---@return true? ok
---@return Reason? reason
---@return string? detail
function call:progress() end

---Refuse the call before answering it.
---@param code integer SIP status code, 300 to 699.
---@param reason? string Reason phrase.
---@return true? ok
---@return Reason? reason
function call:reject(code, reason) end

---End the call. On the flow's own call the script ends here.
---@return true? ok
---@return Reason? reason
function call:hangup() end

---@class PlayOptions
---@field stop_on? string Digits that stop it; "any" for all.
---@field volume? number Louder or softer than the sound is, in dB, -60 to 20; 0.
---@field times? integer How often all of it is played; 1.
---@field loop? boolean Play it for ever; false.
---@field from? number Seconds that are left out at the beginning, the first time; 0.
---@field keys? PlayKeys Digits of the party that do something to it.
---@field step? number How far `back` and `forward` of `keys` go, in seconds; 5.
---@field wait? boolean False: return when it begins, and give an object to steer it by; true.

---One digit each.
---@class PlayKeys
---@field pause? string Pauses it, or lets it go on.
---@field back? string Goes back by a step.
---@field forward? string Goes forward by a step.
---@field restart? string Goes to the beginning.
---@field louder? string By 3 dB.
---@field softer? string By 3 dB.

---Play a sound, or several without a gap.
---@param sound Sound|Sound[]
---@param options? PlayOptions
---@return true|Playing|nil ok With `wait = false`: what to steer it by.
---@return string|Reason? key The digit that stopped it, or the reason.
---@return number|string? seconds How long it played, or the detail.
---@return SoundFault? fault With the reason "sound": what is wrong, in a word.
function call:play(sound, options) end

---What is wrong with a sound that cannot be had.
---@alias SoundFault
---| "missing"     # no such file, here or on its server
---| "unreadable"  # it is there, but cannot be read
---| "format"      # no WAV, MP3 or Ogg
---| "too_large"   # larger than allowed
---| "denied"      # the operator does not allow to go there
---| "timeout"     # its server took too long
---| "unreachable" # its server cannot be reached, or does not prove who it is
---| "status"      # its server answered with an error
---| "engine"      # the speech engine failed
---| "overload"    # too many sounds are being loaded

---Something that is being played: what call:play, call:say and call:tone give with `wait = false`. Each function tells
---where it is then, in seconds from the beginning of the first sound; `nil, "wrong_state"` when it is over.
---@class Playing
playing = {}

---Silence, and time stands still.
---@return number? seconds
---@return Reason? reason
function playing:pause() end

---Go on.
---@return number? seconds
---@return Reason? reason
function playing:resume() end

---Go on from a place.
---@param seconds number From the beginning of the first sound.
---@return number? seconds
---@return Reason? reason
function playing:seek(seconds) end

---Go forward.
---@param seconds number
---@return number? seconds
---@return Reason? reason
function playing:forward(seconds) end

---Go back, not before the beginning.
---@param seconds number
---@return number? seconds
---@return Reason? reason
function playing:back(seconds) end

---So loud from now on.
---@param volume number In dB beside the sound as it is, -60 to 20.
---@return number? seconds
---@return Reason? reason
function playing:volume(volume) end

---Where it is.
---@return number? seconds
---@return Reason? reason
function playing:position() end

---End it.
---@return true? ok
---@return Reason? reason
function playing:stop() end

---@class SayOptions: PlayOptions
---@field language? string BCP 47 tag such as "en-US".
---@field voice? string The speech engine's own name of a voice.

---Speak a text.
---@param text string At most 4000 characters.
---@param options? SayOptions
---@return true? ok
---@return string|Reason? key The digit that stopped it, or the reason.
---@return number|string? seconds How long it played, or the detail.
function call:say(text, options) end

---@class ToneOptions: PlayOptions
---@field seconds? number How long; without it until stopped (a beep is short by itself).
---@field country? string Whose cadence: ISO 3166 letters such as "de".

---Play a signal tone, or one or two frequencies.
---@param tone string|integer|integer[] "beep", "ringing", "busy", "congestion", "dial", or 20 to 3800 Hz.
---@param options? ToneOptions
---@return true? ok
---@return string|Reason? key The digit that stopped it, or the reason.
---@return number|string? seconds How long it played, or the detail.
function call:tone(tone, options) end

---@class GatherOptions
---@field prompt? Sound|Sound[] Played first.
---@field say? string Spoken after the prompt.
---@field language? string BCP 47 tag such as "en-US".
---@field voice? string The speech engine's own name of a voice.
---@field max? integer Stop after so many digits, 1 to 128; 1.
---@field terminators? string Digits that end it without being counted; "#".
---@field timeout? number Longest pause between digits, in seconds; 5.
---@field first_timeout? number Longest pause before the first digit, from the end of the prompt; as `timeout`.
---@field barge_in? boolean The first digit stops the prompt; true.
---@field secret? boolean Events do not say which keys are pressed meanwhile; false.

---Collect digits.
---@param options? GatherOptions
---@return string? digits Perhaps empty.
---@return "max"|"terminator"|"timeout"|"no_input"|Reason? why What ended it.
---@return string? key The terminator, or the detail.
function call:gather(options) end

---@class RecordOptions
---@field file? string File name below the recording folder; made from date and call id without it.
---@field stereo? boolean Two channels: the party left, what it hears right; false.
---@field party_only? boolean Only what the party says; false.
---@field format? "wav"|"mp3"|"ogg" What kind of file; as the file's ending says, else "wav".
---@field legs? boolean Two files, `...-said` with the party and `...-heard` with what it hears; false.
---@field room? string Record all who are heard in this conference room, in place of the call.
---@field rate? 8000|16000|48000 Samples a second; those of the call (G.711 8000, G.722 16000, Opus 48000) without it.
---@field max? number Ends after so many seconds of audio.
---@field end_of_silence? number Ends when the party was silent for so many seconds.
---@field stop_on? string Digits of the party that end it; "any" for all.
---@field beep? boolean Play a beep first, which is not recorded; false.
---@field wait? boolean Return when the recording has ended; true with `end_of_silence` or `stop_on`, else false.

---Record.
---@param options? RecordOptions
---@return Recording? recording
---@return Reason? reason
---@return string? detail
function call:record(options) end

---@class DialOptions
---@field [integer] string SIP URIs (`sip:` or `sips:`), 1 to 32.
---@field strategy? "all"|"in_turn" All at once, or one after another; "all".
---@field timeout? number How long to ring in seconds (each, with "in_turn"); 30.
---@field early_media? boolean Let the caller hear the first phone that sends audio before its answer; false.
---@field caller_id? string Number shown to the phones; the caller's own without it.
---@field headers? table<string, string> Header fields added to each INVITE.
---@field ringback? Sound What the caller hears meanwhile; the country's ringing without it.

---Ring other phones. The first to answer is connected to this call.
---@param targets string|DialOptions
---@param options? DialOptions Where `targets` is one URI.
---@return Call? peer
---@return Reason? reason
---@return integer|string? detail
function call:dial(targets, options) end

---@class LeaveOptions
---@field stop_on? string Digits of this call's party that end it; "any" for all.

---Stay connected with another call of this flow until one of them leaves.
---@param peer Call
---@param options? LeaveOptions
---@return "peer_hangup"|"key"|nil why
---@return string|Reason? key
function call:bridge(peer, options) end

---@class JoinOptions: LeaveOptions
---@field muted? boolean Hear, but be not heard; false.
---@field deaf? boolean Be heard, but do not hear; false.
---@field chime? boolean A chime tells the others of coming and going; false.
---@field level? boolean Make this voice as loud as the others' (automatic gain); false.

---Enter a conference room, and stay in it until a digit or the end.
---@param room string Its name, at most 64 bytes.
---@param options? JoinOptions
---@return "key"|nil why
---@return string|Reason? key
function call:join(room, options) end

---Who is in a room.
---@class RoomMember
---@field id string The id of its call; other functions name it so.
---@field party string Its number.
---@field muted boolean It is not heard.
---@field deaf boolean It does not hear.
---@field loudest boolean Of three and more it spoke loudest at last.

---Who is in a room, in the order of their calls; an empty list where there is no such room.
---@param room string
---@return RoomMember[]
function call:members(room) end

---@class MemberOptions
---@field member string The id of a call in the room.
---@field on? boolean False undoes it; true.

---Let a member of a room be no longer heard, or again. From inside the room or outside.
---@param room string
---@param options MemberOptions
---@return true|nil ok
---@return Reason? reason
function call:mute(room, options) end

---Let a member of a room no longer hear, or hear again.
---@param room string
---@param options MemberOptions
---@return true|nil ok
---@return Reason? reason
function call:deafen(room, options) end

---Put a member out of a room: its `join` returns "kicked".
---@param room string
---@param options MemberOptions
---@return true|nil ok
---@return Reason? reason
function call:kick(room, options) end

---@class DetectOptions
---@field beep? boolean Of a machine wait for its beep, too; false.
---@field timeout? number How long to listen; 20.

---Who answers: a person, a machine, or the network with a tone? Call it right after the answer.
---@param options? DetectOptions
---@return "human"|"machine"|"busy"|"congestion"|"dial"|"sit"|"fax"|"silence"|"unknown"|nil what
---@return boolean|Reason? beep The machine's beep was heard: speak now.
function call:detect(options) end

---@class SiprecOptions
---@field recorder? string A sip: address; the operator's `siprec.recorder`.

---Have the call recorded by another machine as well (SIPREC), until `siprec_stop` or the end of the call. It hears what
---the party says on one line, and what it hears on another.
---@param options? SiprecOptions
---@return true? ok
---@return Reason? reason
function call:siprec(options) end

---@class SiprecMaskOptions
---@field on? boolean Silence (the default), or the call again.

---Let that machine hear silence, as it does anyway while a recording of the call is paused or masked.
---@param options? SiprecMaskOptions
---@return true? ok
---@return Reason? reason
function call:siprec_mask(options) end

---Have it recorded there no longer.
---@return true? ok
---@return Reason? reason
function call:siprec_stop() end

---@class StreamOptions
---@field url string A ws:// or wss:// address.
---@field sides? "said"|"heard"|"both" What the party says, what it hears, or both as two channels; "said".
---@field rate? 8000|16000 Samples a second; 16000.
---@field token? string Sent as `Authorization: Bearer`.
---@field data? string Whatever the other program is to know besides; at most 4096 bytes.

---What is wrong with the program that audio is streamed to.
---@alias StreamFault
---| "denied"      # no proper address, or the operator does not allow to go there
---| "unreachable" # it cannot be reached, or does not prove who it is
---| "timeout"     # it did not answer in time
---| "status"      # it answered with an error
---| "closed"      # it ended the stream
---| "overload"    # as many streams as allowed are there already

---Send the call's audio to another program as it comes (WebSocket, 16-bit samples), until `stream_stop` or the end of the
---call. One stream a call.
---@param options StreamOptions
---@return true? ok
---@return Reason? reason
---@return string? detail
---@return StreamFault? fault With the reason "stream": what is wrong, in a word.
function call:stream(options) end

---Send it there no longer.
---@return true? ok
---@return Reason? reason
function call:stream_stop() end

---How the audio of a call goes. Shares are 0 to 1, times are seconds.
---@class Quality
---@field mos? number Mean opinion score of what is heard here (E-model), 1 to 4.5.
---@field r_factor? number R behind it: 0 to 93.2, of a wideband call to 129.
---@field peer_mos? number The score that the other end reports.
---@field loss number Packets that never came.
---@field late number Packets that came too late.
---@field peer_loss? number Packets of ours that the other end lost.
---@field jitter number
---@field round_trip? number
---@field level? number Mean level of the party's speech, in dBm0.
---@field alarm? string What was wrong last, such as "no packet came; SDP says 10.0.0.7:4000".

---How the audio goes; `nil, "wrong_state"` in the first seconds of a call.
---@return Quality|nil quality
---@return Reason? reason
function call:quality() end

---@class ListenOptions: LeaveOptions
---@field whisper? boolean Be heard by that call's party alone; false: by nobody.

---Listen in on another call that is bridged or in a room, until a digit or the end.
---@param id string The other call's id.
---@param options? ListenOptions
---@return "key"|"peer_hangup"|nil why
---@return string|Reason? key
function call:listen(id, options) end

---@class EchoOptions: LeaveOptions
---@field limit? number Longest time in seconds.

---Send the party's own audio back.
---@param options? EchoOptions
---@return "key"|"limit"|nil why
---@return string|Reason? key
function call:echo(options) end

---@class DigitOptions
---@field length? number Of each, 0.04 to 5 seconds; 0.1.
---@field gap? number Between them, 0.04 to 5 seconds; 0.1.

---Send digits (RFC 4733).
---@param digits string 0-9 * # A-D, and "," for a pause of a second.
---@param options? DigitOptions
---@return true? ok
---@return Reason? reason
function call:send_digits(digits, options) end

---Answer in the place of a phone that rings. This script ends, its call goes on with who was ringing the phone.
---@param phone string The phone's number or user.
---@return nil
---@return Reason reason "unreachable": the phone does not ring.
function call:pickup(phone) end

---Wait in a slot until another call fetches this one; then bridge the two with call:bridge.
---@param slot string Its name; one call at a time.
---@param options? { timeout?: number } How long to wait; 120 s.
---@return Call? other The call that fetched this one.
---@return Reason? reason "busy": the slot is taken; "no_answer": nobody came.
function call:park(slot, options) end

---Fetch the call that is parked in a slot. This script ends, its call goes on with the parked one.
---@param slot string
---@return nil
---@return Reason reason "unreachable": the slot is empty.
function call:retrieve(slot) end

---Tell how many messages wait for a phone of ours: its lamp shows it, where the phone subscribed to it.
---@param phone string Its number or user.
---@param options? { new?: integer, old?: integer } Messages not heard yet, and heard.
---@return true? ok
---@return Reason? reason
function call:mailbox(phone, options) end

---@class HoldOptions
---@field music? Sound What the party hears while it waits; the configured music without it.

---Put the party on hold: it hears music and is not heard. Returns when it agreed.
---@param options? HoldOptions
---@return true? ok
---@return Reason? reason
function call:hold(options) end

---End the hold. Returns when the party agreed.
---@return true? ok
---@return Reason? reason
function call:resume() end

---@class TransferOptions
---@field timeout? number Seconds to wait for the outcome, 60.

---Ask the party to call somebody else instead (REFER). The call is still there afterwards: end it.
---@param target string|Call A SIP URI; or another call of this flow, whose party is called in its place.
---@param options? TransferOptions
---@return "transferred"? outcome
---@return Reason? reason
---@return integer? code
function call:transfer(target, options) end

---@class SendMessageOptions
---@field type? string Media type; "text/plain".
---@field headers? table<string, string> Header fields added.

---Send a text message to the party of the call, within the call.
---@param text string
---@param options? SendMessageOptions
---@return "delivered"|"accepted"|nil how It arrived; or somebody keeps it for later.
---@return integer|Reason? code The SIP status code, or the reason.
---@return integer|string? detail
function call:send_message(text, options) end

---@class Text
---@field text string What it says.
---@field type string Its media type, "text/plain".

---Wait for a text message of the party, within the call. Up to 16 that came before are kept.
---@param seconds? number How long; 60.
---@return Text? message
---@return Reason? reason "no_answer": none came.
function call:wait_message(seconds) end

---Wait.
---@param seconds number At most 86400.
---@return true? ok
---@return Reason? reason
function call:sleep(seconds) end

---A recording that runs, or has ended.
---@class Recording
---@field file? string When it has ended: the file, below the recording folder.
---@field files? string[] When it has ended: all its files; two with `legs`.
---@field seconds? number When it has ended: its length.
---@field why? "stopped"|"key"|"max"|"silence" When it has ended: what ended it.
---@field key? string When it has ended: the digit that ended it.
recording = {}

---Finish it.
---@return Recording? recording
---@return Reason? reason
---@return string? detail
function recording:stop() end

---Leave out what comes from now on.
---@return true? ok
---@return Reason? reason
function recording:pause() end

---Silence from now on instead of what is said, for just as long: card numbers.
---@return true? ok
---@return Reason? reason
function recording:mask() end

---Go on.
---@return true? ok
---@return Reason? reason
function recording:resume() end

---The text message that started this script; nil in scripts that a call started. In a script that a message started,
---`call` is nil.
---@class Message: Text
---@field id string The id that logs carry.
---@field from string Number of the sender; "anonymous" where there is none.
---@field from_name string Name of the sender, perhaps empty.
---@field to string Number that it is for.
---@field phone string? The phone of ours that sent it, by its user: proven by its password; nil: somebody else.
---@field trunk string? The trunk that it came from; nil: none.
---@field source string Where it came from, "address:port".
---@field headers table<string, string> Header fields whose names begin with X-; upper and lower case are the same.
message = {}

---Tell the sender that the message arrived. Without this, the end of the script does; after 2 seconds, the sender was
---told that it is being seen to.
---@return true? ok
---@return Reason? reason "wrong_state": the sender was told something already.
function message:accept() end

---Tell the sender that the message is not wanted.
---@param code integer SIP status code, 300 to 699.
---@param reason? string Reason phrase.
---@return true? ok
---@return Reason? reason
function message:reject(code, reason) end

---Text messages.
messages = {}

---@class MessageOptions: SendMessageOptions
---@field to string A SIP URI or a number: each device of a phone of ours, else over trunks.
---@field text string
---@field from? string Number shown; the one that was called, or that the message came for.

---Send a text message, and wait until somebody took it.
---@param options MessageOptions
---@return "delivered"|"accepted"|nil how It arrived; or somebody keeps it for later.
---@return integer|Reason? code The SIP status code, or the reason.
---@return integer|string? detail
function messages.send(options) end

---The phones of ours.
phones = {}

---@class Registration
---@field contact string Its own SIP URI.
---@field source? string Where it registered from, "address:port"; nil: that connection broke.
---@field transport? "udp"|"tcp"|"tls"|"ws"|"wss"
---@field agent string What it says it is, perhaps empty.
---@field expires integer Seconds until its registration ends.
---@field answers boolean False: it did not answer when it was last asked.

---Where a phone is registered, the newest last; empty: nowhere.
---@param phone string Its number or user.
---@return Registration[]? places
---@return Reason? reason
function phones.registrations(phone) end

---The key-value store, shared by all calls and kept over restarts. Keys have at most 256, values 65536 bytes.
store = {}

---@param key string
---@return string? value nil: there is none (or it failed: then with a reason).
---@return Reason? reason
---@return string? detail
function store.get(key) end

---@param key string
---@param value string|number|boolean|nil nil: forget the key.
---@return true? ok
---@return Reason? reason
---@return string? detail
function store.set(key, value) end

---Add to a whole number in one step; 0 where there is none.
---@param key string
---@param by? integer 1.
---@return integer? sum
---@return Reason? reason
---@return string? detail
function store.add(key, by) end

---@class Contact Whom a number belongs to, as the list of contacts of the API says.
---@field id string By which the API names it.
---@field name string Whose it is.
---@field numbers string[] Its numbers, the best first.
---@field notes string What is known.
---@field vars table<string, string> Values for flows.

---The list of contacts that is kept by the API.
contacts = {}

---Whom a number belongs to, whichever way it is written (`[numbering]` of the configuration says what is the same).
---@param number string May be empty: nobody is known then.
---@return Contact? contact nil: nobody who is known (or it failed: then with a reason).
---@return Reason? reason
---@return string? detail
function contacts.find(number) end

---@class Queue Where callers wait until an agent takes them.
---@field id string By which it is named.
---@field name string What people call it.
---@field notes string What is to be known about it.
---@field agents string[] Ids of the agents that take its callers; empty: all whom the tags fit.
---@field tags string[] Only agents with at least one of these; empty: all of `agents`.
---@field wait_script? string What callers hear while they wait.
---@field wait_limit? number How long a caller may wait, in seconds.
---@field talk_limit? number How long caller and agent may talk, in seconds.

---The queues of the configuration and of the API.
queues = {}

---A queue by its id.
---@param id string
---@return Queue? queue nil: there is none (or it failed: then with a reason).
---@return Reason? reason
---@return string? detail
function queues.get(id) end

---@class Agent A person who takes calls.
---@field id string By which it is named.
---@field name string What people call it.
---@field notes string What is to be known about it.
---@field addresses string[] What rings, as `call:dial` takes it.
---@field strategy "all"|"in_turn" How the addresses ring, as `call:dial` takes it.
---@field tags string[] What it is good at.

---The agents of the configuration and of the API.
agents = {}

---An agent by its id.
---@param id string
---@return Agent? agent nil: there is none (or it failed: then with a reason).
---@return Reason? reason
---@return string? detail
function agents.get(id) end

---@class AiAgent A program that talks to callers; its key is not shown.
---@field id string By which it is named.
---@field name string What people call it.
---@field notes string What is to be known about it.
---@field model string The language model.
---@field prompt string What the model is told before anything is said.
---@field parameters table<string, string> What else the model's service is told.
---@field tts string What makes speech of its text; empty: the server's own.
---@field voice string Whose voice; empty: the usual one.
---@field stt string What makes text of the caller's speech; empty: the server's own.
---@field language string The language that is spoken; empty: found out.
---@field tools string[] What the model may do by itself.

---The AI agents of the configuration and of the API.
ai_agents = {}

---An AI agent by its id.
---@param id string
---@return AiAgent? agent nil: there is none (or it failed: then with a reason).
---@return Reason? reason
---@return string? detail
function ai_agents.get(id) end

---The variables of the route or order, and what is known of the call. What is set here gets into the call record.
---@type table<string, string>
vars = {}

---Write a line to the log.
---@param level "debug"|"info"|"warn"|"error"|any The level; or the text, if it is the only argument.
---@param text? any
function log(level, text) end

---Have a function called when the flow ends, for whatever reason. Only log, vars, store, contacts, queues, agents and ai_agents work in it.
---@param handler fun(reason: "hangup"|"finished"|"error"|"limit")
function on_hangup(handler) end
