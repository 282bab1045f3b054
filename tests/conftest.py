"""What holds for every test."""

import signal

# A shell ignores Ctrl-C for what it starts in the background, and so would all that is started here.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
