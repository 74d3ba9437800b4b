/** What is wrong with a report, in words for its users. */
export class ReportError extends Error {
  override readonly name = 'ReportError'
}
