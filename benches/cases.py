"""All cases, by name, in the order in which they run."""

import captions
import growth
import instruction_sets
import loader
import processes
import single

CASES = {
    "torch": captions.to_torch,
    "int64": captions.to_int64,
    "instruction-sets": instruction_sets.instruction_sets,
    "dtypes": captions.to_dtypes,
    "arrow": captions.from_arrow,
    "long-prompts": captions.long_prompts,
    "multilingual": captions.multilingual,
    "dirty": captions.dirty,
    "dirty-cleaned": captions.dirty_cleaned,
    "scripts": captions.scripts,
    "document": single.document,
    "document-ascii": single.document_ascii,
    "documents": single.documents,
    "prompt-ids": single.prompt_ids,
    "prompt-torch": single.prompt_torch,
    "startup": processes.startup,
    "process": processes.process,
    "memory": processes.memory,
    "loader": loader.loader,
    "loader-32": loader.loader_of_32,
    "threads": growth.threads,
    "batch-sizes": growth.batch_sizes,
    "text-growth": growth.text_growth,
    "word-growth": growth.word_growth,
    "millions": growth.millions,
}
