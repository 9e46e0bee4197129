//! Answers to what a client asks of its link rather than of somebody behind it.
