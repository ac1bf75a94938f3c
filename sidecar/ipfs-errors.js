// Errors of Helia, libp2p and the disk, translated in this one place into what a page is told.
import { asP2PError, malformed, noSuchPath, P2PError } from "./errors.js";

/** The error itself, or status 507 where the disk or the quota is full. */
export function diskError(error) {
  if (error.errcode === 13) error.code = "ENOSPC"; // SQLITE_FULL
  const known = asP2PError(error);
  return known.reason === "disk_full" ? known : error;
}

/** What happened, as a P2PError where it is expected, else the error itself. `path` says what was looked for. */
export function translate(error, path) {
  if (error instanceof P2PError) return error;
  for (const cause of error.errors ?? (error.cause === undefined ? [] : [error.cause])) {
    const inner = translate(cause, path);
    if (inner instanceof P2PError) return inner;
  }
  switch (error.name) {
    case "NotFoundError":
    case "DoesNotExistError":
    case "BadPathError":
      return noSuchPath(path);
    case "NotUnixFSError":
    case "NotADirectoryError":
    case "NotAFileError":
    case "UnknownCodecError":
    case "UnknownHashAlgorithmError":
    case "InvalidMultihashError":
    case "IdentityHashDigestTooLongError":
    case "UnexpectedEndOfDataError":
      return malformed("What lies at this address is no file and no folder of IPFS.");
    default:
      return diskError(error);
  }
}
