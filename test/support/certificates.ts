/** Certificates that a test makes for itself with openssl. */
import { execFileSync } from 'node:child_process'
import { randomInt } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import path from 'node:path'

/** A CA in a folder, and what it signs there: `NAME.crt` and `NAME.key`. */
export class TestCa {
  constructor(
    readonly folder: string,
    readonly name: string,
  ) {
    this.#openssl('req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2', [
      ...['-keyout', this.at(`${name}.key`), '-out', this.at(`${name}.crt`), '-subj', `/CN=${name}`],
    ])
  }

  /** The certificate of the CA. */
  get file(): string {
    return this.at(`${this.name}.crt`)
  }

  at(file: string): string {
    return path.join(this.folder, file)
  }

  /** Signs a new certificate; `days` may be negative: it has expired then. */
  sign(name: string, { host = 'IP:127.0.0.1,DNS:localhost', expired = false } = {}): { cert: string; key: string } {
    const [cert, key, request] = [this.at(`${name}.crt`), this.at(`${name}.key`), this.at(`${name}.csr`)]
    this.#openssl('req', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', [
      ...['-keyout', key, '-out', request, '-subj', `/CN=${name}`],
    ])
    writeFileSync(this.at('extensions'), `subjectAltName=${host}\n`)
    writeFileSync(this.at('index.txt'), '')
    writeFileSync(this.at('serial'), `${randomInt(1000, 9999)}\n`)
    writeFileSync(this.at('index.txt.attr'), 'unique_subject = no\n')
    writeFileSync(this.at('ca.cnf'), caSettings(this.folder))
    const [from, to] = expired ? ['20200101000000Z', '20200102000000Z'] : ['20200101000000Z', '20990101000000Z']
    this.#openssl(
      'ca',
      '-batch',
      '-config',
      this.at('ca.cnf'),
      '-cert',
      this.file,
      '-keyfile',
      this.at(`${this.name}.key`),
      [
        ...['-in', request, '-out', cert, '-startdate', from, '-enddate', to, '-extfile', this.at('extensions')],
        ...['-notext'],
      ],
    )
    return { cert, key }
  }

  #openssl(...args: (string | string[])[]): void {
    execFileSync('openssl', args.flat(), { stdio: 'pipe' })
  }
}

const caSettings = (folder: string) => `[ca]
default_ca = test
[test]
database = ${folder}/index.txt
serial = ${folder}/serial
new_certs_dir = ${folder}
default_md = sha256
policy = any
[any]
commonName = supplied
`
