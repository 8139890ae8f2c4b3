//! What the demonstration needs and nothing else may use: a records service and a stand-in OpenID provider.
