//! The fields of a row. Their names reach the storage (`data_extra`) and the routers:
//! keep them.

heplake_sdk::fields! {
    /// 1, 2 or 3.
    VERSION, "version", Number;
    /// The address family as sent (2 IPv4, 10 IPv6 on Linux), if an address contradicts it.
    IP_FAMILY, "ip_family", Number;
    /// IP protocol: 17 UDP, 6 TCP, 132 SCTP, 22 TLS.
    PROTOCOL, "protocol", Number;
    /// Source address.
    SRC_IP, "src_ip", Address;
    /// Destination address.
    DST_IP, "dst_ip", Address;
    /// Source port.
    SRC_PORT, "src_port", Number;
    /// Destination port.
    DST_PORT, "dst_port", Number;
    /// When the agent captured the packet.
    TIMESTAMP, "timestamp", Time;
    /// What the payload is: 1 SIP, 5 RTCP, …
    PROTO_TYPE, "proto_type", Number;
    /// Capture agent id, decimal.
    NODE_ID, "node_id", Text;
    /// Correlation id that the agent knew; never empty.
    CORRELATION_ID, "correlation_id", Text;
    /// The captured payload, inflated.
    PAYLOAD, "payload", Bytes;
    /// Capture agent name.
    NODE_NAME, "node_name", Text;
    /// VLAN.
    VLAN, "vlan", Number;
    /// TCP flags.
    TCP_FLAGS, "tcp_flags", Number;
    /// IP type of service.
    IP_TOS, "ip_tos", Number;
    /// Mean opinion score × 100, as sent.
    MOS, "mos", Number;
    /// R-factor.
    R_FACTOR, "r_factor", Number;
    /// Jitter.
    JITTER, "jitter", Number;
    /// Source MAC address, `aa:bb:cc:dd:ee:ff`.
    SRC_MAC, "src_mac", Text;
    /// Destination MAC address.
    DST_MAC, "dst_mac", Text;
    /// Ethernet type.
    ETHERTYPE, "ethertype", Number;
    /// Geographic location.
    GEO, "geo", Text;
    /// `call` or `registration`, by some agents.
    TRANSACTION_TYPE, "transaction_type", Text;
    /// Tags.
    TAGS, "tags", Text;
    /// Group id.
    GROUP_ID, "group_id", Text;
    /// 1 recording, 2 lawful interception.
    EVENT_TYPE, "event_type", Number;
    /// The capture agent id as sent, where `node_id` had to be repaired.
    RAW_NODE_ID, "raw_node_id", Number;
    /// Correlation ids of OpenSIPS, a JSON object.
    OPENSIPS_CORRELATION, "opensips_correlation", Text;
    /// Keep-alive timer, in seconds.
    KEEP_ALIVE_TIMER, "keep_alive_timer", Number;
    /// True if the end of the payload did not arrive.
    TRUNCATED, "truncated", Flag;
}
