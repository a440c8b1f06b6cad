"""The IPv6 edge: ICMPv6 errors made here, the firewall's rules, and who enforces them."""
