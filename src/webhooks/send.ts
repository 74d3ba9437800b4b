/** One message to a webhook: of the answer only the status counts. */
import { type ExchangeOptions, exchange } from '../http/exchange.js'

export interface Message {
  url: string
  headers: Record<string, string>
  body: string
  verifiesTls: boolean
}

export type SendOptions = Omit<ExchangeOptions, 'answerBytes'>

/** Returns the status of the answer. Rejects when there is none. */
export async function send(message: Message, options: SendOptions): Promise<number> {
  return (await exchange({ ...message, method: 'POST' }, options)).status
}
