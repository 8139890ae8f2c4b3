//! Policy: questions, verdicts, schema, index and explanations over Cedar, as pure rules.
