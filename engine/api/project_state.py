"""What the state of a project takes of room."""

from engine.api.opened_project import OpenedProject
from engine.errors import UsageError
from engine.formatting.lists import join_some
from engine.store import shorten_id
from engine.store.retention.pruning import Pruned, prune_state
from engine.store.state.size import StateSize, describe_size


class ProjectState(OpenedProject):
    """What the state of a project takes of room."""

    __slots__ = ()

    def prune(self, *, dry: bool = False) -> Pruned:
        """Remove from the state what `retention:` of the spec does not keep, and return what that was.

        What is still needed is never removed: see the reference page. Without `retention:`, nothing is.

        Parameters
        ----------
        dry
            Remove nothing, and return what would be removed.
        """
        with self.open_state() as context:
            return prune_state(context.store, self.spec, context.clock(), dry=dry)

    def state_size(self) -> StateSize:
        """Return how large the state is: bytes of its database and of its files, and rows."""
        with self.open_state() as context:
            return describe_size(context.store)

    def vacuum(self) -> tuple[int, int]:
        """Write the database of the state anew, without the room of what was removed; return its bytes before and now.

        Raises
        ------
        UsageError
            Runs are at work.
        """
        with self.open_state() as context:
            if running := context.store.runs.list_running():
                which = join_some(f"{shorten_id(run.id)} of {run.scenario}" for run in running)
                raise UsageError(
                    f"{context.store.database.name} cannot be written anew while runs are at work, since they could "
                    f"not write: {which}; wait until they have ended"
                )
            before = describe_size(context.store).database_bytes
            context.store.database.vacuum()
            return before, describe_size(context.store).database_bytes
