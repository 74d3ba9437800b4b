/** How the program ends. The codes are public: scripts look at them. */
export const exitCodes = {
  done: 0,
  failed: 1,
  usage: 2,
  notFound: 3,
  notAllowed: 4,
  conflict: 5,
  unreachable: 6,
  /** `serve` has waited for its database, and it has not come. */
  databaseAway: 69,
  internalFault: 70,
  heldByAnother: 75,
  timedOut: 124,
  interrupted: 130,
  /** Who read the output has gone: as a program that SIGPIPE ends. */
  unread: 141,
} as const

/** Ends the program with a code and, for people, a sentence on stderr and what to do next. */
export class Exit extends Error {
  override readonly name = 'Exit'
  constructor(
    readonly code: number,
    message = '',
    readonly hint = '',
  ) {
    super(message)
  }
}
