"""The command line with all its verbs: each is a module of `engine.cli.verbs`, imported when it is used."""

import re
from collections.abc import Iterator, Mapping
from importlib import import_module
from keyword import iskeyword
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from engine import __version__
from engine.cli.options import GIVEN_OPTIONS

VERBS = (
    "init", "validate", "render", "schema", "plan", "run", "watch", "serve", "show", "compare", "report", "check",
    "drill", "mute", "unmute", "pause", "resume", "abort", "outbox", "remove", "prune", "deploy", "deployments",
    "rollback", "status", "pull", "bundle", "node", "state", "import",
)  # fmt: skip
"""The verbs, in the order of `--help`."""


class _Verb(TyperCommand):
    """A verb. An option that takes one value is rejected if given twice: the first value would silently be lost."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        _, _, given = self.make_parser(ctx).parse_args(args=list(args))
        for option in given:
            ctx.meta.setdefault(GIVEN_OPTIONS, []).append(option.name)
            if option.param_type_name == "option" and not option.multiple and given.count(option) > 1:
                raise typer.BadParameter("it was given twice, but takes one value", param_hint=option.opts[0])
        return super().parse_args(ctx, args)

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the arguments and options; that an argument is a text, a path or a list of them is Python's to know."""
        for title, kind in (("Arguments", "argument"), ("Options", "option")):
            named = [one.get_help_record(ctx) for one in self.get_params(ctx) if one.param_type_name == kind]
            lines = [(re.sub(r" <(str|path|list\[\w+\])>$", "", record[0]), record[1]) for record in named if record]
            if lines:
                with formatter.section(title):
                    formatter.write_dl(lines)


class _Verbs(Mapping[str, Any]):
    """The verbs by name. Only the module of the requested verb is imported."""

    def __getitem__(self, name: str) -> Any:
        if name not in VERBS:
            raise KeyError(name)
        module = import_module(f"engine.cli.verbs.{name}_" if iskeyword(name) else f"engine.cli.verbs.{name}")
        holder = typer.Typer(rich_markup_mode=None)
        if hasattr(module, "COMMANDS"):
            _add_group(holder, name, module.__doc__, module.COMMANDS)
        else:
            holder.command(name, cls=_Verb)(module.command)
        return typer.main.get_group(holder).commands[name]

    def __iter__(self) -> Iterator[str]:
        return iter(VERBS)

    def __len__(self) -> int:
        return len(VERBS)


class _Group(TyperGroup):
    """Verbs of which the help says in a whole sentence what each does, where it would be cut at the end of the line."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the verbs."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, verb.get_short_help_str(limit=1000)) for name, verb in self.commands.items()])


class _Engine(_Group):
    """All verbs."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.commands: Any = _Verbs()


app = typer.Typer(
    name="engine",
    cls=_Engine,
    help="Monitor machine-learning models in production as declared in a YAML file.",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _add_group(parent: typer.Typer, name: str, about: str | None, commands: Mapping[str, Any]) -> None:
    """Add a verb that has verbs, or groups of verbs, of its own."""
    group = typer.Typer(help=about, cls=_Group, rich_markup_mode=None)
    for inner, command in commands.items():
        if isinstance(command, Mapping):
            _add_group(group, inner, about, command)
        else:
            group.command(inner, cls=_Verb)(command)
    parent.add_typer(group, name=name)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"engine {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: bool = typer.Option(False, "--version", callback=_print_version, is_eager=True, help="Print the version."),
) -> None:
    """Take the options that belong to no verb."""
