/**
 * The port through which a client keeps small files of one user on disk: one flat directory that nobody else can read.
 * Types only, and the error. Implemented by `lib/io/private-files.ts`; what is in the files is their owner's business.
 */

/** One directory. Nothing is made by looking at it. */
export interface PrivateFiles {
  /** For messages, e.g. the directory's path. */
  readonly name: string;
  /** Makes the directory. Throws {@link PrivateFilesError} when it cannot be used or is not private. */
  prepare(): void;
  /** Names of the files, sorted; none when there is no directory. Throws {@link PrivateFilesError}. */
  list(): string[];
  /**
   * The file, which need not exist, for this holder alone until it is released or the process ends, however it ends.
   * Null when somebody has it. Throws {@link PrivateFilesError} when the directory cannot be used or is not private.
   */
  claim(name: string): PrivateFile | null;
}

/** A file that is claimed. One write at a time. */
export interface PrivateFile {
  readonly name: string;
  /** For messages. */
  readonly path: string;
  /** Null when it does not exist. */
  read(): Uint8Array | null;
  /**
   * Resolves when the bytes are on disk. Rejects with {@link PrivateFilesError}, and then the file ends where it ended
   * before, if the disk still does that. A crash may leave any first part of them.
   */
  append(bytes: Uint8Array): Promise<void>;
  /** Resolves when this is on disk as the whole file; a crash leaves the file as it was or as it shall be. */
  replace(bytes: Uint8Array): Promise<void>;
  /** Keeps the file under a name that is not listed, and gives up the claim. */
  setAside(): void;
  /** Deletes the file, and gives up the claim. */
  remove(): void;
  /** Gives up the claim. */
  release(): void;
}

/** One line: what cannot be done, with which file, and what would help. */
export class PrivateFilesError extends Error {
  override readonly name = "PrivateFilesError";
  constructor(
    message: string,
    /** `place`: the directory cannot be used as it is. `disk`: it is full or fails. */
    readonly code: "place" | "disk",
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}
