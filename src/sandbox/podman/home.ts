import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { Environment } from '../../runtime/process.ts';
import { renderContainersConf } from './containersconf.ts';
import { machineFacts } from './machine.ts';

/**
 * Everything that podman keeps for one sandbox is in one folder: containers, their layers, its database and its locks.
 * Only images are read from the storage they were built into, which nothing here ever writes to.
 */
export interface PodmanHome {
  readonly folder: string;
  readonly storage: string;
  readonly containersConf: string;
  readonly storageConf: string;
}

/** What is known of a container that podman runs. */
export interface PodmanContainer {
  readonly name: string;
  readonly id: string;
  /** Folder of the podman that runs it. */
  readonly home: string;
}

/** The files of podman in a folder. */
export function podmanHome(folder: string): PodmanHome {
  return {
    folder,
    storage: path.join(folder, 'storage'),
    containersConf: path.join(folder, 'containers.conf'),
    storageConf: path.join(folder, 'storage.conf'),
  };
}

/** The environment that makes podman use the folder and nothing else. */
export function podmanEnvironment(home: PodmanHome, searchPath: string): Environment {
  return {
    PATH: searchPath,
    HOME: '/root',
    CONTAINERS_CONF: home.containersConf,
    CONTAINERS_STORAGE_CONF: home.storageConf,
  };
}

/** storage.conf(5) of a folder; images are read from another storage. */
export function renderStorageConf(folder: string, imageStore: string): string {
  return [
    '[storage]',
    'driver = "overlay"',
    `graphroot = "${path.join(folder, 'storage')}"`,
    `runroot = "${path.join(folder, 'run')}"`,
    '[storage.options]',
    `additionalimagestores = ["${imageStore}"]`,
    '',
  ].join('\n');
}

/** containers.conf(5) of a folder: that of the machine, with every file below the folder and no shared locks. */
export function renderHomeConf(folder: string, machineConf: string): string {
  const settings = [
    `static_dir = "${path.join(folder, 'libpod')}"`,
    `tmp_dir = "${path.join(folder, 'tmp')}"`,
    `volume_path = "${path.join(folder, 'volumes')}"`,
    'lock_type = "file"',
    'events_logger = "none"',
    'cgroup_manager = "cgroupfs"',
  ];
  return machineConf.replace('[engine]\n', `[engine]\n${settings.join('\n')}\n`);
}

/** Writes the configuration of a folder whose containers run images from the storage `imageStore`. */
export function makePodmanHome(folder: string, imageStore: string): PodmanHome {
  const home = podmanHome(folder);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  writeFileSync(home.containersConf, renderHomeConf(folder, renderContainersConf(machineFacts())));
  writeFileSync(home.storageConf, renderStorageConf(folder, imageStore));
  return home;
}
