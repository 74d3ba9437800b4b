/** What is wrong with a configuration, and where. */

/** One thing wrong with a file, where, and what was expected. Lines and columns count from 1. */
export interface ConfigError {
  message: string
  /** Path into the document, such as `jobs:build:script`. */
  path: string
  /** The file, if it is not the main one. */
  file?: string
  line?: number
  column?: number
}

/** An error as a sentence, with the path it is about unless that stands in it anyway. */
export function describeError({ message, path }: Pick<ConfigError, 'message' | 'path'>): string {
  return path === '' || message.startsWith(path) ? message : `${path}: ${message}`
}

/** An error as a sentence that begins with its line, and its file unless that is the main one. */
export function describeWithPlace(error: ConfigError): string {
  const place = error.line === undefined ? '' : `${error.file ? `${error.file}:` : 'line '}${error.line}: `
  return `${place}${describeError(error)}`
}
