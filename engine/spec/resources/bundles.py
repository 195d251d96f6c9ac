"""`bundles:` and `registry:`: the content of a bundle, and the place where bundles are published."""

from typing import Annotated

from pydantic import Field

from engine.spec.resources.resource import DataPlace, ReadPath, Ref, Resource


class BundleContent(Resource):
    """The content of a bundle, in addition to the spec, its files and the code that it names."""

    datasets: list[Annotated[str, Ref("datasets")]] = Field(
        [], description="Datasets whose rows are packed. The rows that a function returns are packed as a file."
    )
    models: list[Annotated[str, Ref("models")]] = Field(
        [], description="Models whose newest version is packed; they are not trained again."
    )
    files: list[ReadPath] = Field(
        [], description="Other files that your code reads, as paths or patterns relative to the spec."
    )


class Bundle(Resource):
    """A version of the project that can be deployed elsewhere."""

    description: str | None = Field(None, description="Free text for readers.")
    release_notes: str = Field("", description="Changes in this version, for the people who deploy it.")
    include: BundleContent = Field(BundleContent.model_construct(), description="Datasets and models to pack.")


class Registry(Resource):
    """The folder or object store in which bundles are published for other machines and people."""

    connection: Annotated[str, Ref("connections")] | None = Field(
        None,
        description="Connection of kind s3 or file that contains the folder; if left out, path is relative to the "
        "spec.",
    )
    path: DataPlace | None = Field(
        None, description="Path of the folder, relative to the connection or, without one, to the spec."
    )
