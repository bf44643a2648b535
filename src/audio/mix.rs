//! Adding frames: two of them directly, many of them by way of a wider sum.

/// Add `other` to `into`, sample by sample; what is too loud stays at full scale.
pub fn add(into: &mut [i16], other: &[i16]) {
    for (sum, &sample) in into.iter_mut().zip(other) {
        *sum = sum.saturating_add(sample);
    }
}

/// Add `frame` to a sum of many. 65,536 frames fit before the sum could overflow.
pub fn accumulate(sum: &mut [i32], frame: &[i16]) {
    for (sum, &sample) in sum.iter_mut().zip(frame) {
        *sum += i32::from(sample);
    }
}

/// What one party of a room hears: the sum of all without its own frame (`own` may be empty for one that is not in the
/// sum). What is too loud is put at full scale.
pub fn without(sum: &[i32], own: &[i16], out: &mut [i16]) {
    let own = own.iter().copied().chain(std::iter::repeat(0));
    for ((out, &sum), own) in out.iter_mut().zip(sum).zip(own) {
        *out = (sum - i32::from(own)).clamp(i16::MIN.into(), i16::MAX.into()) as i16;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_loud_frames_add_up_to_full_scale_and_do_not_wrap() {
        let mut frame = [30_000, -30_000, 5];
        add(&mut frame, &[30_000, -30_000, -7]);
        assert_eq!(frame, [i16::MAX, i16::MIN, -2]);
    }

    #[test]
    fn each_party_of_a_room_hears_the_others_exactly() {
        let frames = [[30_000_i16, 1], [30_000, 20], [-20_000, 300]];
        let mut sum = [0; 2];
        frames.iter().for_each(|f| accumulate(&mut sum, f));
        let mut heard = [0; 2];
        without(&sum, &frames[0], &mut heard);
        assert_eq!(heard, [10_000, 320]);
        without(&sum, &frames[2], &mut heard);
        assert_eq!(heard, [i16::MAX, 21]);
        without(&sum, &[], &mut heard);
        assert_eq!(heard, [i16::MAX, 321], "a listener hears all, at full scale at most");
    }
}
