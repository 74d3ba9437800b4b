/** Which addresses of the network are somebody else's: what a stranger's text may make the server connect to. */
import { BlockList, isIP } from 'node:net'

/** https://www.iana.org/assignments/iana-ipv4-special-registry */
const forbiddenIpv4: readonly [string, number][] = [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.0.2.0', 24],
  ['192.88.99.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['198.51.100.0', 24],
  ['203.0.113.0', 24],
  ['224.0.0.0', 4],
  ['240.0.0.0', 4],
]

/** https://www.iana.org/assignments/iana-ipv6-special-registry; those that carry an IPv4 address are refused whole. */
const forbiddenIpv6: readonly [string, number][] = [
  ['::', 96],
  ['::ffff:0:0', 96],
  ['64:ff9b::', 96],
  ['64:ff9b:1::', 48],
  ['100::', 64],
  ['2001::', 23],
  ['2001:db8::', 32],
  ['2002::', 16],
  ['3fff::', 20],
  ['5f00::', 16],
  ['fc00::', 7],
  ['fe80::', 10],
  ['fec0::', 10],
  ['ff00::', 8],
]

// One list for each family: Node compares IPv4-mapped addresses with the rules of both.
const ipv4 = new BlockList()
for (const [net, prefix] of forbiddenIpv4) ipv4.addSubnet(net, prefix, 'ipv4')
const ipv6 = new BlockList()
for (const [net, prefix] of forbiddenIpv6) ipv6.addSubnet(net, prefix, 'ipv6')

/** Whether an address is one of the public internet: no loopback, private, link-local, shared, multicast or mapped one. */
export function isPublicAddress(address: string): boolean {
  switch (isIP(address)) {
    case 4:
      return !ipv4.check(address, 'ipv4')
    case 6:
      return !address.includes('%') && !ipv6.check(address, 'ipv6')
    default:
      return false
  }
}
