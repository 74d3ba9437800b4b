import { execFileSync, spawn } from 'node:child_process'
import fs from 'node:fs'
import type http from 'node:http'
import path from 'node:path'

/** Bare repositories behind smart HTTP, for whoever knows one of the passwords. */
export class GitServer {
  /** `user:password` of each request that brought any, or nothing. */
  readonly seen: (string | undefined)[] = []
  /** Command lines of all processes at the time of each request. */
  readonly commandLines: string[] = []

  constructor(
    private readonly root: string,
    private readonly passwords: () => readonly string[],
  ) {
    fs.mkdirSync(root, { recursive: true })
  }

  /** Makes a repository with these commits, each a set of files, on `main`. @returns the ids, oldest first. */
  create(name: string, commits: Record<string, string>[], extra?: (work: string) => void): string[] {
    const bare = path.join(this.root, name)
    const work = path.join(this.root, `${name}.work`)
    git(this.root, 'init', '-q', '--bare', '-b', 'main', bare)
    git(bare, 'config', 'uploadpack.allowAnySHA1InWant', 'true')
    git(this.root, 'clone', '-q', bare, work)
    git(work, 'checkout', '-q', '-b', 'main')
    const ids = commits.map((files) => {
      for (const [file, content] of Object.entries(files)) {
        fs.mkdirSync(path.dirname(path.join(work, file)), { recursive: true })
        fs.writeFileSync(path.join(work, file), content)
      }
      extra?.(work)
      git(work, 'add', '-A')
      git(work, 'commit', '-q', '--allow-empty', '-m', 'a commit')
      return git(work, 'rev-parse', 'HEAD')
    })
    git(work, 'push', '-q', 'origin', 'main')
    return ids
  }

  serve(request: http.IncomingMessage, response: http.ServerResponse): void {
    const url = new URL(request.url ?? '/', 'http://git')
    const given = Buffer.from((request.headers.authorization ?? '').replace('Basic ', ''), 'base64').toString()
    this.seen.push(given === '' ? undefined : given)
    for (const pid of fs.readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
      try {
        this.commandLines.push(fs.readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' '))
      } catch {
        // It has ended.
      }
    }
    if (!this.passwords().includes(given.slice(given.indexOf(':') + 1))) {
      response.writeHead(401, { 'www-authenticate': 'Basic realm="git"' }).end()
      return
    }
    const backend = spawn('git', ['http-backend'], {
      env: {
        PATH: process.env.PATH,
        GIT_PROJECT_ROOT: this.root,
        GIT_HTTP_EXPORT_ALL: '1',
        PATH_INFO: url.pathname,
        QUERY_STRING: url.search.slice(1),
        REQUEST_METHOD: request.method,
        CONTENT_TYPE: request.headers['content-type'] ?? '',
        HTTP_CONTENT_ENCODING: request.headers['content-encoding'] ?? '',
        GIT_PROTOCOL: String(request.headers['git-protocol'] ?? ''),
        REMOTE_USER: 'runner',
      },
      stdio: ['pipe', 'pipe', 'ignore'],
    })
    backend.stdin.on('error', () => undefined)
    request.pipe(backend.stdin)
    const chunks: Buffer[] = []
    backend.stdout.on('data', (chunk: Buffer) => chunks.push(chunk))
    backend.on('close', () => answer(Buffer.concat(chunks), response))
  }
}

/** Turns what a CGI program has written into an answer. */
function answer(output: Buffer, response: http.ServerResponse): void {
  const end = output.indexOf('\r\n\r\n')
  for (const line of output.subarray(0, end).toString().split('\r\n')) {
    const [name = '', value = ''] = line.split(': ')
    if (name.toLowerCase() === 'status') response.statusCode = Number.parseInt(value, 10)
    else response.setHeader(name, value)
  }
  response.end(output.subarray(end + 4))
}

export function git(cwd: string, ...args: string[]): string {
  const identity = ['-c', 'user.name=Test', '-c', 'user.email=test@example.org', '-c', 'protocol.file.allow=always']
  return execFileSync('git', [...identity, ...args], {
    cwd,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  }).trim()
}
