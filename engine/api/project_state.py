"""The methods of a project for the size of its state: retention and vacuum."""

from engine.api.opened_project import OpenedProject
from engine.errors import UsageError
from engine.formatting.lists import join_some
from engine.store import shorten_id
from engine.store.retention.pruning import Pruned, prune_state
from engine.store.state.size import StateSize, describe_size


class ProjectState(OpenedProject):
    """The size of a project's state, and its reduction."""

    __slots__ = ()

    def prune(self, *, dry: bool = False) -> Pruned:
        """Remove everything that `retention:` of the spec does not keep; return the numbers of removed items.

        Data that are still needed are never removed, see the reference page. Without `retention:`, nothing is removed.

        Parameters
        ----------
        dry
            Remove nothing, and return what would be removed.
        """
        with self.open_state() as context:
            return prune_state(context.store, self.spec, context.clock(), dry=dry)

    def state_size(self) -> StateSize:
        """Return the size of the state: bytes of its database and files, and rows."""
        with self.open_state() as context:
            return describe_size(context.store)

    def vacuum(self) -> tuple[int, int]:
        """Rewrite the database of the state without the space of removed rows; return its bytes before and after.

        Raises
        ------
        UsageError
            Runs are running.
        """
        with self.open_state() as context:
            if running := context.store.runs.list_running():
                which = join_some(f"{shorten_id(run.id)} of {run.scenario}" for run in running)
                raise UsageError(
                    f"{context.store.database.name} cannot be compacted while runs are running, since they could "
                    f"not write: {which}; wait until they have ended"
                )
            before = describe_size(context.store).database_bytes
            context.store.database.vacuum()
            return before, describe_size(context.store).database_bytes
