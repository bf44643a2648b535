//! The E-model: ITU-T G.107 with all its parameters at their defaults but for delay, loss and codec, and for wideband
//! codecs G.107.1 in the same way. From these it tells how people would judge a conversation: R, and the mean opinion
//! score from 1 to 4.5.
//!
//! R is one scale for both: narrowband goes to 93.2, wideband to 129, and G.711 among wideband calls is worth 93 there
//! (G.113 appendix IV). A score is not: it is what people say who compare calls of that band.

/// By which model a call is judged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scale {
    /// G.107: 300 to 3,400 Hz.
    #[default]
    Narrow,
    /// G.107.1: 50 to 7,000 Hz and more.
    Wide,
}

impl Scale {
    /// R where nothing is wrong: all defaults (G.107 table 3; G.107.1 section 6.2), without the delay.
    const fn best(self) -> f64 {
        match self {
            Scale::Narrow => 93.2,
            Scale::Wide => 129.0,
        }
    }

    /// `r` as a number from 0 to 100, of which scores are made (G.107.1 annex A).
    pub fn percent(self, r: f64) -> f64 {
        match self {
            Scale::Narrow => r.clamp(0.0, 100.0),
            Scale::Wide => (r / 1.29).clamp(0.0, 100.0),
        }
    }

    /// Mean opinion score of an R (G.107 annex B, G.107.1 annex A).
    pub fn mos(self, r: f64) -> f64 {
        let r = self.percent(r);
        (1.0 + 0.035 * r + r * (r - 60.0) * (100.0 - r) * 7e-6).clamp(1.0, 4.5)
    }
}

/// How much a codec takes away.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Impairment {
    /// Where it is judged.
    pub scale: Scale,
    /// Equipment impairment without loss (Ie; Ie,WB).
    pub ie: f64,
    /// Robustness against loss (Bpl; Bpl,WB).
    pub bpl: f64,
}

/// G.711 with concealment (G.113 table I.3, ours is of the same kind as its appendix I).
pub const G711: Impairment = Impairment { scale: Scale::Narrow, ie: 0.0, bpl: 25.1 };

/// G.729 with annex A (G.113 tables I.1 and I.3).
pub const G729: Impairment = Impairment { scale: Scale::Narrow, ie: 11.0, bpl: 19.0 };

/// G.722 at 64 kbit/s (G.113 appendix IV). The robustness is that of our own concealment: at 1 to 10 % it costs what
/// PESQ says in docs/voice-quality.md.
pub const G722: Impairment = Impairment { scale: Scale::Wide, ie: 13.0, bpl: 5.0 };

/// Opus. G.113 has no value for it: judged as G.722.2 at 19.85 kbit/s, which listeners do not prefer to it. The
/// robustness is between what docs/voice-quality.md shows with its error correction (20) and without (6): nobody says
/// whether a peer sends it.
pub const OPUS: Impairment = Impairment { scale: Scale::Wide, ie: 3.0, bpl: 10.0 };

/// Samples as they are at 16 kHz: nothing is taken away, and losses are concealed as those of G.711 are.
pub const LINEAR_WIDE: Impairment = Impairment { scale: Scale::Wide, ie: 0.0, bpl: 10.0 };

/// What came of the packets.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Loss {
    /// Share of packets that were not there when they were to be played, 0 to 1.
    pub share: f64,
    /// Mean number of packets lost in a row, over what it would be were each lost by chance alone: 1 is chance,
    /// more is bursts (G.107 section 7.4, BurstR).
    pub burst_ratio: f64,
}

/// R for a one-way `delay` in ms, from mouth to ear. G.107.1 knows nothing of bursts: there they count as G.107 has them.
pub fn r(delay: f64, loss: Loss, codec: Impairment) -> f64 {
    let percent = 100.0 * loss.share;
    let lost = percent / (percent / loss.burst_ratio.max(1.0) + codec.bpl);
    let equipment = codec.ie + (95.0 - codec.ie) * lost;
    (codec.scale.best() - late(delay) - equipment).max(0.0)
}

/// What pure delay takes away (G.107 section 7.3, Idd; the same in G.107.1 section 7.4).
fn late(delay: f64) -> f64 {
    if delay <= 100.0 {
        return 0.0;
    }
    let x = (delay / 100.0).log2();
    25.0 * ((1.0 + x.powi(6)).powf(1.0 / 6.0) - 3.0 * (1.0 + (x / 3.0).powi(6)).powf(1.0 / 6.0) + 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn by_chance(share: f64) -> Loss {
        Loss { share, burst_ratio: 1.0 }
    }

    #[test]
    fn without_delay_and_loss_it_is_the_best_there_is() {
        let best = r(0.0, Loss::default(), G711);
        assert!((best - 93.2).abs() < 0.01);
        assert!((Scale::Narrow.mos(best) - 4.41).abs() < 0.01, "{}", Scale::Narrow.mos(best));
    }

    #[test]
    fn delay_costs_what_the_recommendation_says() {
        // Worked out by hand from the formula: X is 0.585, 1, 1.585 and 2.
        for (delay, cost) in [(100.0, 0.0), (150.0, 0.16), (200.0, 3.04), (300.0, 14.76), (400.0, 24.07)] {
            assert!((late(delay) - cost).abs() < 0.05, "{delay}: {}", late(delay));
        }
        assert!((0..60).map(|n| late(f64::from(n) * 10.0)).is_sorted());
    }

    #[test]
    fn loss_costs_as_g113_says_and_more_in_bursts() {
        // 1 % costs 95/26.1, 5 % costs 95·5/30.1.
        assert!((r(0.0, by_chance(0.01), G711) - (93.2 - 3.64)).abs() < 0.01);
        assert!((r(0.0, by_chance(0.05), G711) - (93.2 - 15.78)).abs() < 0.01);
        let bursts = Loss { share: 0.05, burst_ratio: 3.0 };
        assert!(r(0.0, bursts, G711) < r(0.0, by_chance(0.05), G711));
        assert!(r(1000.0, by_chance(1.0), G711) >= 0.0);
    }

    #[test]
    fn scores_follow_annex_b() {
        for (r, score) in
            [(90.0, 4.34), (80.0, 4.03), (70.0, 3.60), (60.0, 3.10), (50.0, 2.58), (0.0, 1.0), (100.0, 4.5)]
        {
            assert!((Scale::Narrow.mos(r) - score).abs() < 0.01, "{r}: {}", Scale::Narrow.mos(r));
        }
    }

    #[test]
    fn a_wideband_call_is_judged_by_g107_1() {
        let best = Impairment { scale: Scale::Wide, ie: 0.0, bpl: 10.0 };
        let clean = |ie: f64| r(0.0, Loss::default(), Impairment { ie, ..best });
        assert!((clean(0.0) - 129.0).abs() < 1e-9 && (Scale::Wide.mos(129.0) - 4.5).abs() < 1e-9);
        // Ie,WB of G.113 appendix IV: narrowband is worth there what G.107 says of it, and G.722.2 goes from 6.6 to
        // 23.05 kbit/s.
        assert!((clean(36.0) - r(0.0, Loss::default(), G711)).abs() < 0.3);
        for (ie, score) in [(41.0, 3.51), (36.0, 3.69), (13.0, 4.34), (1.0, 4.49)] {
            assert!((Scale::Wide.mos(clean(ie)) - score).abs() < 0.01, "{ie}: {}", Scale::Wide.mos(clean(ie)));
        }
        assert!(Scale::Wide.mos(r(0.0, by_chance(1.0), best)) >= 1.0);
    }

    #[test]
    fn loss_costs_a_wideband_call_what_pesq_says_in_the_page_of_voice_quality() {
        let cost = |codec: Impairment, share: f64| {
            let score = |share| codec.scale.mos(r(0.0, by_chance(share), codec));
            score(0.0) - score(share)
        };
        for (share, pesq) in [(0.01, 0.55), (0.03, 0.95), (0.05, 1.30), (0.10, 1.86)] {
            assert!((cost(G722, share) - pesq).abs() < 0.25, "{share}: {}", cost(G722, share));
        }
        // Opus: between the scores with its error correction, and those of bursts, where that does not help.
        for (share, with, without) in [(0.05, 0.32, 1.22), (0.10, 0.51, 1.69)] {
            assert!((with..without).contains(&cost(OPUS, share)), "{share}: {}", cost(OPUS, share));
        }
    }
}
