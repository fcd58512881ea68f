//! stub to be replaced when the plan's authentication is in
