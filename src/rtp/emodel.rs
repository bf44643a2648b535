//! The E-model: ITU-T G.107 with all its parameters at their defaults but for delay, loss and codec. From these it
//! tells how people would judge a conversation: R from 0 to 100, and the mean opinion score from 1 to 4.5.

/// R where nothing is wrong: all of G.107 table 3's defaults, without the delay.
const BEST: f64 = 93.2;

/// How much a codec takes away (ITU-T G.113 appendix I).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Impairment {
    /// Equipment impairment without loss (Ie).
    pub ie: f64,
    /// Robustness against loss (Bpl).
    pub bpl: f64,
}

/// G.711 with concealment (G.113 table I.3, ours is of the same kind as its appendix I).
pub const G711: Impairment = Impairment { ie: 0.0, bpl: 25.1 };

/// G.729 with annex A (G.113 tables I.1 and I.3).
pub const G729: Impairment = Impairment { ie: 11.0, bpl: 19.0 };

/// What came of the packets.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Loss {
    /// Share of packets that were not there when they were to be played, 0 to 1.
    pub share: f64,
    /// Mean number of packets lost in a row, over what it would be were each lost by chance alone: 1 is chance,
    /// more is bursts (G.107 section 7.4, BurstR).
    pub burst_ratio: f64,
}

/// R of G.107 for a one-way `delay` in ms, from mouth to ear.
pub fn r(delay: f64, loss: Loss, codec: Impairment) -> f64 {
    let percent = 100.0 * loss.share;
    let lost = percent / (percent / loss.burst_ratio.max(1.0) + codec.bpl);
    let equipment = codec.ie + (95.0 - codec.ie) * lost;
    (BEST - late(delay) - equipment).clamp(0.0, 100.0)
}

/// What pure delay takes away (G.107 section 7.3, Idd).
fn late(delay: f64) -> f64 {
    if delay <= 100.0 {
        return 0.0;
    }
    let x = (delay / 100.0).log2();
    25.0 * ((1.0 + x.powi(6)).powf(1.0 / 6.0) - 3.0 * (1.0 + (x / 3.0).powi(6)).powf(1.0 / 6.0) + 2.0)
}

/// Mean opinion score of an R (G.107 annex B).
pub fn mos(r: f64) -> f64 {
    match r {
        r if r <= 0.0 => 1.0,
        r if r >= 100.0 => 4.5,
        r => (1.0 + 0.035 * r + r * (r - 60.0) * (100.0 - r) * 7e-6).clamp(1.0, 4.5),
    }
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
        assert!((mos(best) - 4.41).abs() < 0.01, "{}", mos(best));
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
            assert!((mos(r) - score).abs() < 0.01, "{r}: {}", mos(r));
        }
    }
}
