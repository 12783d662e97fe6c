CREATE TABLE IF NOT EXISTS member (
  id INTEGER PRIMARY KEY,
  email TEXT NOT NULL UNIQUE,
  nickname TEXT NOT NULL UNIQUE COLLATE NOCASE,
  password TEXT NOT NULL
);

CREATE TABLE IF NOT EXISTS walk (
  id INTEGER PRIMARY KEY,
  day TEXT NOT NULL,
  name TEXT NOT NULL,
  kilometres REAL NOT NULL,
  meeting_point TEXT NOT NULL
);

CREATE TABLE IF NOT EXISTS coming (
  walk_id INTEGER NOT NULL REFERENCES walk (id),
  member_id INTEGER NOT NULL REFERENCES member (id),
  PRIMARY KEY (walk_id, member_id)
);

INSERT OR IGNORE INTO walk VALUES
  (1, 'Saturday 6 June', 'Old quarry and the ridge', 14, 'Bus stop Mill Lane, 9:00'),
  (2, 'Sunday 14 June', 'Along the canal to Fernhill', 9.5, 'Station forecourt, 10:30'),
  (3, 'Saturday 27 June', 'Three peaks by moonlight', 22, 'Car park at the dam, 20:00');
