//! Sans-IO ESP.
