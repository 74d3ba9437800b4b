/** What the files of logs ask of a file system: the machine's, or a simulation's that forgets what was not synced. */
import { mkdir, open, rm } from 'node:fs/promises'

/** An open file or folder, with the meaning that Node's `FileHandle` gives to each. */
export interface DiskFile {
  read(buffer: Buffer, offset: number, length: number, position: number): Promise<{ bytesRead: number }>
  write(buffer: Buffer, offset: number, length: number, position: number): Promise<{ bytesWritten: number }>
  stat(): Promise<{ size: number }>
  truncate(length: number): Promise<void>
  datasync(): Promise<void>
  sync(): Promise<void>
  close(): Promise<void>
}

/** The calls of `node:fs/promises` by the same names; their errors carry the same codes. */
export interface Disk {
  open(path: string, flags: string | number, mode?: number): Promise<DiskFile>
  /** Returns the first folder that it made. */
  mkdir(path: string, options: { recursive: true }): Promise<string | undefined>
  rm(path: string, options: { force: true }): Promise<void>
}

/** The file system of this machine. */
export const systemDisk: Disk = { open, mkdir, rm }
