/** Rules for what is read of a plugin before any of its code runs. */
import { existsSync } from 'node:fs'
import path from 'node:path'
import { isObject } from '../plain.js'
import { must, type Rule } from './rule.js'

const namePattern = /^(?:@[^/]+\/)?signalbox-plugin-/

export const packageRules: readonly Rule[] = [
  {
    name: 'package-peer',
    asks: 'signalbox is a peer dependency, so that there is one copy of it',
    keep({ manifest }) {
      const has = (key: string) => isObject(manifest[key]) && Object.hasOwn(manifest[key], 'signalbox')
      must(!has('dependencies'), 'package.json has signalbox among its dependencies: make it a peer dependency')
      must(has('peerDependencies'), 'package.json has no signalbox among its peerDependencies')
    },
  },
  {
    name: 'package-name',
    asks: 'people find it: its name begins with signalbox-plugin-, and so does one of its keywords',
    weight: 'advice',
    keep({ manifest }) {
      const { name, keywords } = manifest
      must(typeof name === 'string' && namePattern.test(name), `its name is ${String(name)}`)
      must(Array.isArray(keywords) && keywords.includes('signalbox-plugin'), 'the keyword signalbox-plugin is missing')
    },
  },
  {
    name: 'package-readme',
    asks: 'it has a README that says what it takes',
    weight: 'advice',
    keep: ({ folder }) => must(existsSync(path.join(folder, 'README.md')), 'there is no README.md'),
  },
]
