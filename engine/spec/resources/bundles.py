"""`bundles:` and `registry:`: what is packed into a bundle, and where bundles are published."""

from typing import Annotated

from pydantic import Field

from engine.spec.resources.resource import DataPlace, ReadPath, Ref, Resource


class BundleContent(Resource):
    """What a bundle holds besides the spec, its files and the code that it names."""

    datasets: list[Annotated[str, Ref("datasets")]] = Field(
        [], description="Datasets whose rows are part of the bundle; what a function returns is frozen as a file."
    )
    models: list[Annotated[str, Ref("models")]] = Field(
        [], description="Models whose newest version is part of the bundle; they are not trained again."
    )
    files: list[ReadPath] = Field([], description="Other files or patterns beside the spec, which code reads.")


class Bundle(Resource):
    """A version of the project that can be carried elsewhere."""

    description: str | None = Field(None, description="Free text for readers.")
    release_notes: str = Field("", description="What is new in it, for those who deploy it.")
    include: BundleContent = Field(BundleContent.model_construct(), description="Datasets and models to pack.")


class Registry(Resource):
    """The folder or the object store in which bundles are published, for other machines and people."""

    connection: Annotated[str, Ref("connections")] | None = Field(
        None, description="A connection of kind s3 or file in which the folder is; that of the spec if left out."
    )
    path: DataPlace | None = Field(None, description="Path of the folder, relative to the spec or in the connection.")
