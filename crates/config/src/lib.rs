//! anole.yaml, pipelines and blueprints: YAML, checked, compiled to plans.
