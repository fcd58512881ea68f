//! The codes of the API's error answers. Each has a page: `anole explain CODE`.

use anole_event::code_enum;

code_enum! {
    /// The `code` of an error answer of the admin API.
    pub enum ApiCode {
        /// The token is missing or wrong.
        Unauthorised "unauthorised",
        /// The listener has no token and was called by a name.
        WrongHost "wrong_host",
        /// Another site's page tries to change something.
        CrossSite "cross_site",
        /// The query is too long.
        QueryTooLong "query_too_long",
        /// The query means nothing.
        BadQuery "bad_query",
        /// The body means nothing.
        BadBody "bad_body",
        /// There is no such page or route.
        NotFound "not_found",
        /// There is no such event, or not any more.
        UnknownEvent "unknown_event",
        /// There is no such attempt, or not any more.
        UnknownAttempt "unknown_attempt",
        /// Nothing is parked under that id.
        UnknownParked "unknown_parked",
        /// There is no such lane.
        UnknownLane "unknown_lane",
        /// The new name is no name of a lane.
        BadName "bad_name",
        /// A pipeline has the lane.
        LaneInUse "lane_in_use",
        /// A lane of the new name is there.
        LaneExists "lane_exists",
        /// The new name is in another pipeline.
        OtherPipeline "other_pipeline",
        /// No pipeline has the lane of what is to be replayed.
        NoLane "no_lane",
        /// The lane has a replay already.
        ReplayUnderWay "replay_under_way",
        /// There is no such pipeline.
        UnknownPipeline "unknown_pipeline",
        /// An erasure is under way.
        Forgetting "forgetting",
        /// The files are wrong, so nothing was reloaded.
        BadConfig "bad_config",
        /// The reload failed for another reason.
        ReloadFailed "reload_failed",
        /// A store could not be read.
        LookFailed "look_failed",
        /// A store could not be written.
        NotKept "not_kept",
        /// The daemon cannot take events just now.
        NotReady "not_ready",
        /// The daemon ends.
        ShuttingDown "shutting_down",
    }
}
