//! Sans-IO L2TP (RFC 2661) for remote access over IPsec (RFC 3193): the LNS, and LAC enough to test it.

#![forbid(unsafe_code)]
