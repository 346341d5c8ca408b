//! The fields of a row. Their names reach the storage and the router: keep them.
//!
//! Values are as they stand in the message, without surrounding blanks and with folded
//! lines joined. Of a header that is a list all lines count, joined by a comma; of any other
//! that is there twice the first that is not empty (see `occurrence.rs`). No field but the
//! message holds a password that stands in a URI: `***` stands for it. A last line without
//! line end was cut short, and is left out.

heplake_sdk::fields! {
    /// The bytes of the item that belong to this message. The pieces of all rows of an
    /// item, end to end, are the item.
    MESSAGE, "message", Bytes;
    /// Method of a request; null for a response.
    METHOD, "method", Text;
    /// Status code of a response.
    RESPONSE_CODE, "response_code", Text;
    /// Reason phrase of a response.
    RESPONSE_REASON, "response_reason", Text;
    /// Method in CSeq.
    CSEQ_METHOD, "cseq_method", Text;
    /// Call-ID.
    CALL_ID, "call_id", Text;
    /// User of From, without a password and telephone parameters, and unescaped.
    CALLER, "caller", Text;
    /// User of the request URI, else of To; as that of From.
    CALLEE, "callee", Text;
    /// Host of From, without a port; an IPv6 reference keeps its brackets.
    FROM_HOST, "from_host", Text;
    /// Host of To.
    TO_HOST, "to_host", Text;
    /// Tag of From.
    FROM_TAG, "from_tag", Text;
    /// Tag of To.
    TO_TAG, "to_tag", Text;
    /// Request URI.
    REQUEST_URI, "request_uri", Text;
    /// Address of record: `user@host` of To, the user as that of From.
    AOR, "aor", Text;
    /// Contact: all its values.
    CONTACT, "contact", Text;
    /// Expires.
    EXPIRES, "expires", Text;
    /// User-Agent.
    USER_AGENT, "user_agent", Text;
    /// Server.
    SERVER, "server", Text;
    /// Via: all its values, the topmost first.
    VIA, "via", Text;
    /// The branch of the topmost.
    BRANCH, "branch", Text;
    /// Authorization or Proxy-Authorization, with the secrets in it masked.
    AUTHORIZATION, "authorization", Text;
    /// Content-Type.
    CONTENT_TYPE, "content_type", Text;
    /// Content-Length, as sent.
    CONTENT_LENGTH, "content_length", Text;
    /// CSeq.
    CSEQ, "cseq", Text;
    /// Max-Forwards.
    MAX_FORWARDS, "max_forwards", Text;
    /// X-Call-ID.
    X_CALL_ID, "x_call_id", Text;
    /// P-Asserted-Identity: all its values.
    P_ASSERTED_IDENTITY, "p_asserted_identity", Text;
    /// Remote-Party-ID: all its values.
    REMOTE_PARTY_ID, "remote_party_id", Text;
    /// Diversion: all its values, the last that diverted first.
    DIVERSION, "diversion", Text;
    /// Reason (RFC 3326): all its values.
    REASON, "reason", Text;
    /// Session-ID (RFC 7989).
    SESSION_ID_HEADER, "session_id_header", Text;
    /// The first of the configured correlation headers that is there.
    CORRELATION, "correlation", Text;
    /// The URI of From as sent, if the user in it is not what `caller` is.
    FROM_URI, "from_uri", Text;
    /// The URI of To as sent, if the user in it is not what `aor` has.
    TO_URI, "to_uri", Text;
}

/// What the names of the fields of configured custom headers begin with.
pub(crate) const CUSTOM_PREFIX: &str = "custom_headers.";
