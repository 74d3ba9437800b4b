/** The page that a link to set a password leads to: a plain form, without script. It works in every browser, and before there is anybody. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Core } from '../core/core.js'
import { SignalboxError } from '../core/errors.js'
import { usePasswordLink } from '../core/operations/edit-password.js'
import { passwordLength } from '../core/session.js'
import { type Access, addressOf } from '../http/access.js'
import { readParams } from '../http/read-params.js'
import { statusByCode } from './errors.js'
import { escaped, sendPlainPage } from './plain-page.js'

/** Where the page is. */
export const passwordPath = '/-/password'

/** The address of a link. */
export function passwordLinkUrl(externalUrl: string, token: string): string {
  return `${externalUrl}${passwordPath}?token=${encodeURIComponent(token)}`
}

/** Answers a request for the page: a form, or what became of it. Never rejects. */
export async function answerPasswordPage(
  core: Core,
  access: Access,
  req: IncomingMessage,
  res: ServerResponse,
): Promise<void> {
  try {
    const params = await readParams(req, res, core.clock)
    const token = params.text('token', { max: 1024 }) ?? ''
    if (req.method !== 'POST') return send(res, 200, form(token))
    const password = params.text('password', { max: 1024 }) ?? ''
    if (password !== params.text('again', { max: 1024 })) {
      throw new SignalboxError('invalid', 'the two passwords are not the same')
    }
    const { username } = await access.signIn(req, `link ${addressOf(req)}`, () =>
      usePasswordLink(core, { token, password }),
    )
    send(res, 200, `<p>The password of ${escaped(username)} is set. It works from now on, and this link no more.</p>`)
  } catch (thrown) {
    const error = SignalboxError.from(thrown)
    if (error.code === 'internal') core.log.error({ err: error.cause ?? error }, 'a password could not be set')
    send(res, statusByCode[error.code], `<p>${escaped(error.message)}</p><p>Go back to try again.</p>`)
  }
}

function form(token: string): string {
  const field = (label: string, name: string) =>
    `<p><label>${label}<br><input type="password" name="${name}" autocomplete="new-password" required ` +
    `minlength="${passwordLength.shortest}" maxlength="${passwordLength.longest}"></label></p>`
  return (
    `<form method="post"><input type="hidden" name="token" value="${escaped(token)}">` +
    `${field(`Password (${passwordLength.shortest} characters or more)`, 'password')}${field('Once more', 'again')}` +
    '<p><button>Set the password</button></p></form>'
  )
}

function send(res: ServerResponse, status: number, body: string): void {
  sendPlainPage(res, { status, title: 'Password', body })
}
