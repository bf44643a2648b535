call:answer()
call:echo()
