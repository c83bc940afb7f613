"""Ways to write an address that nobody outside may have us ask, and URLs that are none we ask."""

INNER = ("127.0.0.1", "127.1", "2130706433", "0x7f.1", "[::1]", "[::ffff:7f00:1]", "[::]", "localhost", "localhost.", "0.0.0.0",
         "169.254.169.254", "[64:ff9b::7f00:1]", "100.64.0.1", "198.18.0.1", "224.0.0.1", "10.0.0.1", "192.168.0.1", "172.16.0.1",
         "[fe80::1]", "[fc00::1]")
ODD = ("file:///etc/passwd", "gopher://127.0.0.1/", "ftp://127.0.0.1/", "http://user:pass@127.0.0.1/", "http://127.0.0.1:0/",
       "http://a\\@127.0.0.1/", "http://127.0.0.1#@example.org/", "javascript:1", "http://", "//127.0.0.1/")
