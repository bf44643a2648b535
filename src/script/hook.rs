//! What the running coroutine's hook needs beyond `mlua`: how often it is called, and the end of what cannot be suspended.
//!
//! Where Lua cannot yield (a `__tostring` that C code called, say), only an error ends a script, raised again at every
//! instruction, so that no `pcall` outlasts it. It is raised from a hook of our own: an error that the hook of `mlua`
//! returns clears the stack of the function that was interrupted, and that runs the function's to-be-closed variables
//! with hooks off, for as long as they like.

#![expect(
    unsafe_code,
    reason = "mlua cannot tell a hook's count, nor raise an error in a hook that leaves the stack alone"
)]

use mlua::{
    Lua,
    ffi::{self, lua_Debug, lua_State},
};

/// The error's text.
pub(super) const MESSAGE: &str = "stopped by a limit";
const TEXT: &std::ffi::CStr = c"stopped by a limit";

/// After how many instructions the running coroutine's hook is called; each coroutine has its own count.
pub(super) fn count(lua: &Lua) -> u32 {
    // SAFETY: the state is the one that runs now, so it is alive.
    let count = unsafe { ffi::lua_gethookcount(lua.state()) };
    u32::try_from(count).unwrap_or(1)
}

/// Have the running coroutine's hook, as it is, called after so many instructions.
pub(super) fn set_count(lua: &Lua, count: u8) {
    let state = lua.state();
    // SAFETY: the state is the one that runs now, so it is alive; lua_sethook may be called at any time.
    unsafe { ffi::lua_sethook(state, ffi::lua_gethook(state), ffi::LUA_MASKCOUNT, count.into()) }
}

/// From now on the running coroutine is stopped at each instruction.
pub(super) fn arm(lua: &Lua) {
    let state = lua.state();
    // SAFETY: the state is the one that runs now, so it is alive; lua_sethook may be called at any time.
    unsafe { ffi::lua_sethook(state, Some(stop), ffi::LUA_MASKCOUNT, 1) }
}

/// Yield for good where that is possible, else raise the error.
unsafe extern "C-unwind" fn stop(state: *mut lua_State, _: *mut lua_Debug) {
    // SAFETY: a count hook may yield without values, and raise errors (manual, section 4.7); Lua guarantees
    // LUA_MINSTACK free places in a hook; nothing here needs dropping when lua_error jumps away.
    unsafe {
        if ffi::lua_isyieldable(state) != 0 {
            ffi::lua_yield(state, 0);
        } else {
            ffi::lua_pushstring(state, TEXT.as_ptr());
            ffi::lua_error(state);
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn both_forms_of_the_text_are_one() {
        assert_eq!(super::TEXT.to_str(), Ok(super::MESSAGE));
    }
}
