-- What somebody was before they were suspended, so that they are that again. Unknown of who was suspended before this.
ALTER TABLE users ADD COLUMN suspended_from TEXT;
