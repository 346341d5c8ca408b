//! The fields of a row. Their names reach the storage and the router: keep them.
//!
//! Values are as they stand in the message, without surrounding blanks and with folded
//! lines joined. Of a header that is there twice the first that is not empty counts.

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
    /// User of From, without a password.
    CALLER, "caller", Text;
    /// User of the request URI, else of To.
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
    /// Address of record: `user@host` of To.
    AOR, "aor", Text;
    /// Contact: all its values.
    CONTACT, "contact", Text;
    /// Expires.
    EXPIRES, "expires", Text;
    /// User-Agent.
    USER_AGENT, "user_agent", Text;
    /// Server.
    SERVER, "server", Text;
    /// The topmost value of Via.
    VIA, "via", Text;
    /// Its branch.
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
    /// P-Asserted-Identity: all values of the first line.
    P_ASSERTED_IDENTITY, "p_asserted_identity", Text;
    /// Remote-Party-ID.
    REMOTE_PARTY_ID, "remote_party_id", Text;
    /// Diversion.
    DIVERSION, "diversion", Text;
    /// Reason (RFC 3326).
    REASON, "reason", Text;
    /// Session-ID (RFC 7989).
    SESSION_ID_HEADER, "session_id_header", Text;
    /// The first of the configured correlation headers that is there.
    CORRELATION, "correlation", Text;
}

/// What the names of the fields of configured custom headers begin with.
pub(crate) const CUSTOM_PREFIX: &str = "custom_headers.";
