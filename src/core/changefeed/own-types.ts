/**
 * The entity types in which Holdfast keeps its own things. Every node and every replay knows them: their records are in the log.
 */
import type { EntityDefinition } from "../../model/entity.ts";
import { directoryEntity, subscriberEntity } from "./subscriber-entity.ts";

export const ownTypes: readonly EntityDefinition[] = [subscriberEntity, directoryEntity];
