/**
 * The tables of the state and their version. How a database is opened, brought up to this version and emptied is
 * `database.ts`'s and `migrations.ts`'s. Knows no op and no rule of the chat.
 *
 * Numbers of sessions, accounts, conversations and messages are the log index of the op that made them: equal on every
 * replica, never reused, and appended in order.
 */
/** Raised with every change of the tables, with a step in `migrations.ts`; a database with a greater one is refused. */
export const stateVersion = 3;

/** "chtd": tells a state of chatd from any other SQLite file. */
export const applicationId = 0x63687464;

/** The database is not a state that this build can read. */
export class StateFormatError extends Error {
  override readonly name = "StateFormatError";
}

/** SQLite could not read or write: the replica must not go on. */
export class StateStorageError extends Error {
  override readonly name = "StateStorageError";
}

/**
 * Foreign keys stand where SQLite finds the children by an index. `messages` therefore has none: its session is
 * guarded by `message_ids`, its conversation by `conversation_messages`, its accounts by `conversations`.
 */
export const tables = {
  /** One row: the last applied entry, stored with its effects. */
  point: `
    id INTEGER PRIMARY KEY CHECK (id = 1),
    number INTEGER NOT NULL CHECK (number >= 0),
    view INTEGER NOT NULL CHECK (view >= 0),
    chain BLOB NOT NULL CHECK (length(chain) = 8),
    -- Messages above this one are not in message_ids, conversation_messages, mailbox, summaries and words yet.
    settled INTEGER NOT NULL CHECK (settled BETWEEN 0 AND number),
    -- The greatest time of an op applied.
    clock INTEGER NOT NULL CHECK (clock >= 0)
  ) STRICT`,

  /** An account stays as a tombstone, without fold and password, while somebody still has messages with it. */
  accounts: `
    number INTEGER PRIMARY KEY,
    session TEXT NOT NULL CHECK (length(session) = 36),
    seq INTEGER NOT NULL CHECK (seq > 0),
    name TEXT NOT NULL,
    -- What names are compared by.
    fold TEXT UNIQUE,
    -- Of the name asked for, when a merge gave it to another account: it may still be used to sign in.
    former_fold TEXT,
    password_hash TEXT,
    created_at INTEGER NOT NULL,
    -- The op that set the password, and when it was first accepted; null for the one that made the account.
    password_session TEXT,
    password_seq INTEGER,
    password_at INTEGER,
    -- When its last session was detached or logged out.
    last_seen_at INTEGER,
    UNIQUE (session, seq),
    CHECK ((fold IS NULL) = (password_hash IS NULL)),
    CHECK (fold IS NOT NULL OR former_fold IS NULL)
  ) STRICT`,

  sessions: `
    number INTEGER PRIMARY KEY,
    uuid TEXT NOT NULL UNIQUE CHECK (length(uuid) = 36),
    -- In which it was registered.
    view INTEGER NOT NULL,
    token_hash BLOB NOT NULL CHECK (length(token_hash) = 32),
    account INTEGER REFERENCES accounts (number),
    -- The log index of the login.
    login INTEGER,
    -- The last attachment, and whether it lasts.
    pid INTEGER NOT NULL,
    incarnation INTEGER NOT NULL,
    attachment INTEGER NOT NULL,
    held INTEGER NOT NULL CHECK (held IN (0, 1)),
    -- The log indexes at which the last attachment began, and the one before.
    attached INTEGER NOT NULL,
    attached_before INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    -- When it was last attached or detached, logged in or out, or its applied ops written down (within 64 ops).
    used_at INTEGER NOT NULL,
    -- Only its uuid still counts: it stands in the ids of its messages, and is never given away again.
    expired INTEGER NOT NULL CHECK (expired IN (0, 1)),
    -- What its program calls itself; null of a session registered by a build that did not ask.
    software TEXT,
    -- The log index at which it was closed; 0 while it is open. Closed, it takes only what a fork had taken before.
    closed INTEGER NOT NULL,
    CHECK ((account IS NULL) = (login IS NULL))
  ) STRICT`,

  /** The set of applied seqs of a session, but for those whose results are kept and not yet entered here. */
  applied_ranges: `
    session INTEGER NOT NULL REFERENCES sessions (number),
    first INTEGER NOT NULL CHECK (first > 0),
    last INTEGER NOT NULL CHECK (last >= first),
    PRIMARY KEY (session, first)
  ) STRICT, WITHOUT ROWID`,

  /** Results by log index: at most 64 of a session, the greatest seq of each remainder modulo 64. */
  results: `
    number INTEGER PRIMARY KEY,
    session INTEGER NOT NULL,
    seq INTEGER NOT NULL CHECK (seq > 0),
    digest BLOB NOT NULL CHECK (length(digest) = 8),
    view INTEGER NOT NULL,
    kind INTEGER NOT NULL CHECK (kind BETWEEN 1 AND 7),
    value INTEGER NOT NULL,
    detail TEXT
  ) STRICT`,

  /** Of two accounts, the older one being low. */
  conversations: `
    number INTEGER PRIMARY KEY,
    low INTEGER NOT NULL REFERENCES accounts (number),
    high INTEGER NOT NULL REFERENCES accounts (number),
    UNIQUE (low, high),
    CHECK (low < high)
  ) STRICT`,

  messages: `
    number INTEGER PRIMARY KEY,
    session INTEGER NOT NULL,
    seq INTEGER NOT NULL CHECK (seq > 0),
    conversation INTEGER NOT NULL,
    sender INTEGER NOT NULL,
    recipient INTEGER NOT NULL CHECK (recipient <> sender),
    -- Where it arrived: 1 in the inbox, 0 with a session that was there.
    inbox INTEGER NOT NULL CHECK (inbox IN (0, 1)),
    at INTEGER NOT NULL,
    text TEXT NOT NULL
  ) STRICT`,

  message_ids: `
    session INTEGER NOT NULL REFERENCES sessions (number),
    seq INTEGER NOT NULL,
    message INTEGER NOT NULL,
    PRIMARY KEY (session, seq)
  ) STRICT, WITHOUT ROWID`,

  conversation_messages: `
    conversation INTEGER NOT NULL REFERENCES conversations (number),
    message INTEGER NOT NULL,
    PRIMARY KEY (conversation, message)
  ) STRICT, WITHOUT ROWID`,

  /** Who has which message, and in what state; no row: deleted for this owner. */
  mailbox: `
    owner INTEGER NOT NULL REFERENCES accounts (number),
    message INTEGER NOT NULL,
    inbox INTEGER NOT NULL CHECK (inbox IN (0, 1)),
    read INTEGER NOT NULL CHECK (read IN (0, 1)),
    PRIMARY KEY (owner, message)
  ) STRICT, WITHOUT ROWID`,

  /** What an account has of each of its conversations, counted over its mailbox; no row: nothing. */
  summaries: `
    owner INTEGER NOT NULL REFERENCES accounts (number),
    conversation INTEGER NOT NULL,
    -- Received, out of the inbox and not read.
    unread INTEGER NOT NULL CHECK (unread >= 0),
    inbox INTEGER NOT NULL CHECK (inbox >= 0),
    -- The newest message, wherever it is.
    last INTEGER NOT NULL,
    PRIMARY KEY (owner, conversation)
  ) STRICT, WITHOUT ROWID`,

  /** What accounts have written and not sent. The recipient may be gone: then nobody is named. */
  drafts: `
    owner INTEGER NOT NULL REFERENCES accounts (number),
    number INTEGER NOT NULL,
    -- The op that made it, and the op that saved what it holds.
    session INTEGER NOT NULL REFERENCES sessions (number),
    seq INTEGER NOT NULL CHECK (seq > 0),
    version_session INTEGER NOT NULL REFERENCES sessions (number),
    version_seq INTEGER NOT NULL CHECK (version_seq > 0),
    recipient INTEGER CHECK (recipient <> owner),
    at INTEGER NOT NULL,
    text TEXT NOT NULL,
    PRIMARY KEY (owner, number),
    UNIQUE (session, seq),
    UNIQUE (version_session, version_seq)
  ) STRICT, WITHOUT ROWID`,

  /** Versions of drafts that have become messages. Sessions are never deleted: theirs needs no guard. */
  sent_drafts: `
    owner INTEGER NOT NULL REFERENCES accounts (number),
    session INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (owner, session, seq)
  ) STRICT, WITHOUT ROWID`,

  /** Things an account should know; waiting until one of its sessions logs in. */
  notices: `
    account INTEGER NOT NULL REFERENCES accounts (number),
    number INTEGER NOT NULL,
    waiting INTEGER NOT NULL CHECK (waiting IN (0, 1)),
    text TEXT NOT NULL,
    PRIMARY KEY (account, number)
  ) STRICT, WITHOUT ROWID`,

  /** Deleted accounts whose mailbox is being erased. */
  erasures: `
    account INTEGER PRIMARY KEY REFERENCES accounts (number)
  ) STRICT`,
} as const;

export const indexes = [
  "CREATE INDEX sessions_by_account ON sessions (account) WHERE account IS NOT NULL",
  "CREATE INDEX conversations_by_high ON conversations (high)",
  "CREATE INDEX mailbox_inbox ON mailbox (owner, message) WHERE inbox = 1",
];

/**
 * What words stand in the settled messages, and whose they are: the numbers of both accounts. Derived from the tables, and
 * no part of what replicas compare: the same words may stand in other pages.
 */
export const wordIndex = [
  // Beginnings of two letters are indexed too: so many words begin with them that looking for each takes long.
  `CREATE VIRTUAL TABLE words USING fts5 (owners, text, content = '', columnsize = 0, prefix = '2',
     tokenize = "unicode61 remove_diacritics 2")`,
  // What is taken out leaves no byte.
  "INSERT INTO words (words, rank) VALUES ('secure-delete', 1)",
  // Fewer, larger merges: half the work of entering, and still few places to look at.
  "INSERT INTO words (words, rank) VALUES ('automerge', 8)",
];

/** Parents before their children. */
export const tableNames = Object.keys(tables) as readonly (keyof typeof tables)[];
