# Reference: strongSwan with kernel ESP in a guest.
srv_kind=guest srv_stack=kernel
. "$INTEROP/servers/strongswan.inc"
