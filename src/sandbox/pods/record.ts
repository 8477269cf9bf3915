import { readFileSync, readdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { writeFileAtomically } from '../lifecycle/state.ts';
import type { PodmanContainer } from '../podman/home.ts';
import type { ProcessIdentity } from '../processes.ts';

/** A container's process, as it can be found by others and by a later agent. */
export interface ContainerRecord extends ProcessIdentity {
  /** RFC 3339. */
  readonly startedAt: string;
  readonly restartCount: number;
  /** Set when podman runs it. */
  readonly container?: PodmanContainer;
}

/** What is kept on disk of a pod that runs on a node. */
export interface PodRecord {
  readonly uid: string;
  readonly namespace: string;
  readonly name: string;
  /** RFC 3339. */
  readonly startTime: string;
  /** Name of its network namespace; none for a pod in the node's. */
  readonly network?: string;
  readonly podIP?: string;
  /** Its init containers are done. */
  readonly initialized: boolean;
  /** By container name. */
  readonly containers: Readonly<Record<string, ContainerRecord>>;
}

/** The directory of everything about a pod. */
export function podDir(nodeDir: string, uid: string): string {
  return path.join(nodeDir, 'pods', uid);
}

/** The file a container's output is appended to. */
export function logFile(nodeDir: string, namespace: string, pod: string, container: string): string {
  return path.join(nodeDir, 'logs', `${namespace}_${pod}_${container}.log`);
}

/** Replaces a pod's record in one step. */
export function writeRecord(nodeDir: string, record: PodRecord): void {
  writeFileAtomically(path.join(podDir(nodeDir, record.uid), 'record.json'), `${JSON.stringify(record)}\n`);
}

function parseRecord(file: string): PodRecord | undefined {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as PodRecord;
  } catch {
    return undefined;
  }
}

/** The record of one pod, undefined when there is none. */
export function readRecord(nodeDir: string, uid: string): PodRecord | undefined {
  return parseRecord(path.join(podDir(nodeDir, uid), 'record.json'));
}

/** The uids of all pods that left a directory, with or without a record in it. */
export function recordedUids(nodeDir: string): readonly string[] {
  try {
    return readdirSync(path.join(nodeDir, 'pods'));
  } catch {
    return [];
  }
}

/** The records of all pods of a node. */
export function readRecords(nodeDir: string): readonly PodRecord[] {
  return recordedUids(nodeDir)
    .map((uid) => readRecord(nodeDir, uid))
    .filter((record) => record !== undefined);
}

/** Removes a pod's directory with its volumes. */
export function removePodDir(nodeDir: string, uid: string): void {
  rmSync(podDir(nodeDir, uid), { recursive: true, force: true });
}
