"""The page, in a browser: Debian's chromium, which `bin/test browser` installs where it may."""
