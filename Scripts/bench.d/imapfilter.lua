-- One mailbox for `Scripts/bench ring`: says its name each time the server announces something.
options.timeout = 120
options.certificates = true
options.wakeonany = true
options.persist = true

local user = os.getenv("BENCH_USER")
local account = IMAP {
    server = "localhost",
    port = tonumber(os.getenv("BENCH_PORT")),
    username = user,
    password = "secret",
    ssl = "auto",
}

while true do
    if not account.INBOX:enter_idle() then os.exit(1) end
    local lines = io.open(os.getenv("BENCH_LINES"), "a")
    lines:write(user .. "\n")
    lines:close()
end
