//! The words by which programs know why something was refused. Each has a page: `anole explain CODE`.

use anole_event::code_enum;

code_enum! {
    /// The `code` of an error answer of the collection endpoint, and of the verdict on one event. A body that cannot be read
    /// has a code of `anole_http::body::BodyCode` instead.
    pub enum RefusalCode {
        /// There is no such route.
        NotFound "not_found",
        /// The route has other methods.
        MethodNotAllowed "method_not_allowed",
        /// No pipeline has the write key.
        InvalidWriteKey "invalid_write_key",
        /// The write key is not for pages of this origin.
        OriginNotAllowed "origin_not_allowed",
        /// The body is not what it should be.
        InvalidBody "invalid_body",
        /// The batch has more events than may be.
        TooManyEvents "too_many_events",
        /// The event is malformed.
        InvalidEvent "invalid_event",
        /// The event is over the limit.
        EventTooLarge "event_too_large",
        /// The request is larger than the journal takes at once.
        TooLarge "too_large",
        /// The journal or its disk is full.
        JournalFull "journal_full",
        /// More comes than can be written.
        JournalBusy "journal_busy",
        /// The journal cannot be written.
        JournalFailed "journal_failed",
        /// The daemon ends.
        ShuttingDown "shutting_down",
        /// The daemon cannot take events just now.
        NotReady "not_ready",
        /// The measurement id or its secret is wrong. Counted only: GA4's protocols have no error answers.
        UnknownMeasurement "unknown_measurement",
        /// It is no request of GA4. Counted only.
        UnknownVersion "unknown_version",
        /// A request that must be signed is not, or not rightly.
        InvalidSignature "invalid_signature",
        /// More is sent than one key or one address may.
        RateLimited "rate_limited",
    }
}

code_enum! {
    /// The `reason` of an error answer or a verdict: which rule was broken. Where the journal or the body is to blame it is a
    /// code of theirs instead.
    pub enum Rule {
        /// No pipeline has the write key.
        UnknownKey "unknown_key",
        /// There is no write key.
        NoKey "no_key",
        /// The page's origin is not among those of the key.
        Origin "origin",
        /// It is not JSON.
        NotJson "not_json",
        /// It is not UTF-8.
        NotUtf8 "not_utf8",
        /// The body is empty.
        EmptyBody "empty_body",
        /// The body is no object.
        NotAnObject "not_an_object",
        /// It is JSON, but no event.
        NotAnEvent "not_an_event",
        /// The body has no array of events.
        NoBatch "no_batch",
        /// The batch has more events than may be.
        TooManyEvents "too_many_events",
        /// The event has more bytes than may be.
        TooLarge "too_large",
        /// The events are together larger than the journal takes at once.
        JournalTooLarge "journal_too_large",
        /// Another request was bringing the same events, and failed.
        OriginalFailed "original_failed",
        /// The daemon ends and lets go of its connections.
        Draining "draining",
        /// It nests too deep.
        TooDeep "too_deep",
        /// A text holds half a character.
        BadText "bad_text",
        /// There are too many keys.
        TooManyKeys "too_many_keys",
        /// The type is none of those there are.
        UnknownType "unknown_type",
        /// The name of what was done is missing.
        NoEventName "no_event_name",
        /// Nobody is named.
        NoIdentity "no_identity",
        /// The group is missing.
        NoGroup "no_group",
        /// An alias lacks one of its ids.
        NoAlias "no_alias",
        /// A text is too long.
        TextTooLong "text_too_long",
        /// A field is of the wrong kind.
        BadField "bad_field",
        /// The event of a picture's address is not base64.
        NotBase64 "not_base64",
        /// The pipeline has no secret by which a signature could be checked.
        NoSecret "no_secret",
        /// The signature or its time is missing, or not in its form.
        NoSignature "no_signature",
        /// The time of the signature is too far off.
        StaleTimestamp "stale_timestamp",
        /// The signature is not that of this request.
        WrongSignature "wrong_signature",
        /// More events come with one key than may.
        KeyRate "key_rate",
        /// More events come from one address than may.
        AddressRate "address_rate",
    }
}
