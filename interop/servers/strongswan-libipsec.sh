# Reference: strongSwan with userspace ESP (always inside UDP), no guest kernel.
srv_kind=plain srv_stack=libipsec srv_wire=udp
. "$INTEROP/servers/strongswan.inc"
