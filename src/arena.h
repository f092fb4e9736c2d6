/* SPDX-License-Identifier: MIT */
/*
 * Arenas: how shared memory is divided. For arena.c and share.c.
 *
 * An arena is a header, a table of the processes that use it, and cells of 64
 * bytes. A thing has one cell or several in a row; its serial number changes
 * each time a cell is given out. Some cells hold records: which process uses
 * which thing, or has it on its way to another process. A thing without a
 * record is free.
 *
 * What has a name, is in a file, or is large has an arena of its own: it is in
 * cell 1, its lock, if it has one, in the next, and behind all cells there may
 * be its data, which is mapped by itself.
 *
 * All but the table is changed only with the arena's lock held. The lock
 * survives its owner like any other; whoever is told so counts everything
 * again, so that the order of stores matters in two places only: a cell's kind
 * is set before its contents and cleared after them, and a record is the truth
 * that the counts of references follow.
 *
 * A process in the table is its pid and its start time in 64 bits. It enters
 * without the lock, by one compare-and-swap, since its number there is what it
 * takes the lock with. Somebody else removes it when it is dead.
 */
#ifndef MULTIPROC_ARENA_H
#define MULTIPROC_ARENA_H

#include "share.h"

#include <multiproc/named.h>

enum {
    MPI_CELL_SIZE = 64,
    MPI_CELL_ROOM = 48, /* of the first cell, for the thing */
    MPI_TOKEN_WORDS = 2,
    MPI_LOOKS = 32,
    /* The process of what is still on its way when its sender is buried: kept
     * until it arrives, or there is no room left. */
    MPI_NO_SENDER = MPI_OWNER_DIED - 1,
};

typedef struct mpi_cell {
    mpi_atomic32 kind;   /* an mpi_kind; 0: free */
    uint32_t count;      /* of cells in a row; the others are all contents */
    uint32_t serial;     /* given out so many times */
    uint32_t references; /* records that name it */
    unsigned char room[MPI_CELL_ROOM];
} mpi_cell;

typedef struct mpi_arena_header {
    char magic[8];
    uint32_t version;
    uint32_t process_capacity;
    uint32_t cell_capacity;
    mpi_atomic32 cell_count;         /* those that memory is reserved for */
    uint64_t token[MPI_TOKEN_WORDS]; /* tells arenas apart */
    mpos_word lock;
    uint32_t first_free; /* no cell before this one is free */
    uint32_t records;    /* a cell of records with room; 0: none. See below. */
    uint32_t serial;     /* the last one given out */
    mpi_atomic32 process_count; /* about so many are in the table */
    mpi_atomic32 last_process;  /* the number given out last */
    mpi_atomic32 top_process;   /* the highest that ever was */
    int64_t creator_pid;
    /* When an owner was last found alive, and which: [its number % LOOKS] */
    mpi_atomic64 looks[MPI_LOOKS];
    uint64_t pid_space; /* in which the processes' numbers mean something */
    /* Behind the cells, what is too large for them; offset 0: nothing. */
    uint64_t data_offset;
    mpi_atomic64 data_size;     /* reserved so far */
    uint32_t storage;           /* an mpi_storage */
    uint32_t kept_end;          /* things before this cell stay without users */
    char name[MP_NAME_MAX + 1]; /* "" if it has none */
} mpi_arena_header;

/* -- Records --------------------------------------------------------------- */

enum {
    MPI_RECORDS = 0x64726372, /* the kind of a cell of records */
    MPI_RECORDS_PER_CELL = 4,
};

typedef enum mpi_record_state {
    MPI_RECORD_USED = 1,
    MPI_RECORD_ON_WAY,
} mpi_record_state;

typedef struct mpi_record {
    uint32_t cell;
    uint32_t serial;
    uint16_t process; /* 0: free */
    uint16_t state;
} mpi_record;

/* Such a cell has in `references` how many are used, and, if it has room, in
 * `serial` the next one that has. */
typedef struct mpi_record_cell {
    mpi_record items[MPI_RECORDS_PER_CELL];
} mpi_record_cell;

/* -- In this process ------------------------------------------------------- */

enum {
    MPI_ARENA_TABLE = 1024,           /* where the table is */
    MPI_ARENA_FIXED_SIZE = 960 << 10, /* of one that can't grow */
};

/* Where the cells begin. */
static inline size_t mpi_arena_cells_offset(uint32_t process_capacity)
{
    size_t end = MPI_ARENA_TABLE + process_capacity * sizeof(mpi_atomic64);

    return (end + MPI_CELL_SIZE - 1) / MPI_CELL_SIZE * MPI_CELL_SIZE;
}

static inline size_t mpi_arena_size_with(const mpi_arena_header *header,
                                         uint32_t cells)
{
    return mpi_arena_cells_offset(header->process_capacity) +
           (size_t)cells * MPI_CELL_SIZE;
}

/* An arena that this process has mapped. */
struct mpi_arena {
    mpi_arena *next;
    mpi_arena_header *header;
    mpi_atomic64 *processes; /* [number - 1] */
    mpi_cell *cells;         /* cell 0 is never given out: 0 means none */
    /* What the header said when it was checked. */
    uint32_t process_capacity;
    uint32_t cell_limit;
    uint32_t storage;
    size_t data_offset;       /* 0: no data */
    mpi_atomic64 data_proved; /* so much of it is there for certain */
    size_t mapped_size;
    mpos_handle memory;
    /* The header's token, and what it is on this machine: copies of a file have
     * the same token. */
    uint64_t token[MPI_TOKEN_WORDS];
    size_t uses; /* by shares and parcels of this process */
    bool is_full;
    bool is_read_only; /* mapped so, and can't be entered */
    mpi_share lock;    /* self: this process's number; 0: not in the table */
};

/* Those that may be touched. */
static inline uint32_t mpi_arena_cell_count(const mpi_arena *arena)
{
    uint32_t count = mpi_atomic32_load(&arena->header->cell_count);

    return count < arena->cell_limit ? count : arena->cell_limit;
}

/* A new one, this process's first use. */
mp_error mpi_arena_create(mpi_arena **out);
/* Maps one that exists; takes memory over, but not on failure. MP_EPROTO,
 * MP_EVERSION. */
mp_error mpi_arena_map(mpos_handle memory, bool is_read_only, mpi_arena **out);
/* The bytes that one of its own for this thing begins with; malloc'ed. */
mp_error mpi_arena_image(const mpi_share_plan *plan, void **image,
                         size_t *image_size);
/* How large it is with its data. MP_EOVERFLOW. */
mp_error mpi_arena_size(const mpi_share_plan *plan, size_t *size);
/* A new one without a name for this thing. */
mp_error mpi_arena_create_single(const mpi_share_plan *plan, mpi_arena **out);
/* Nobody uses it, and all who did are dead, also if their numbers mean somebody
 * else today: for what is in a file. */
void mpi_arena_reset(mpi_arena *arena);
void mpi_arena_unmap(mpi_arena *arena);
void mpi_arena_fill_cells(mpi_arena_header *header, mpi_cell *cell,
                          uint32_t kind, size_t size);

/* This process, for mpi_arena_enter(): to be asked before taking any lock. */
mp_error mpi_arena_identity(uint64_t *identity);
/* Puts this process into the table, once. MP_EPROCLIM. */
mp_error mpi_arena_enter(mpi_arena *arena, uint64_t identity);

/* Needs to have entered. */
mp_error mpi_arena_lock(mpi_arena *arena);
void mpi_arena_unlock(mpi_arena *arena);

/* -- With the arena locked ------------------------------------------------- */

/* Cells for a thing of size bytes, zeroed, without a record. MP_EOVERFLOW: no
 * room left; MP_ENOSPC, MP_ENOMEM: the system's. */
mp_error mpi_arena_take_cells(mpi_arena *arena, mpi_kind kind, size_t size,
                              uint32_t *cell);
/* For what has no record. */
void mpi_arena_free_cells(mpi_arena *arena, uint32_t cell);
/* A record that this process uses the thing, or has it on its way. If it fails
 * and there is no other, the thing is freed. MP_EPROCLIM: no room left. */
mp_error mpi_arena_add_record(mpi_arena *arena, uint32_t cell, bool is_on_way,
                              mpi_record_id *id);
/* What is on its way has arrived here. False: it is not there any more, or has
 * arrived elsewhere. */
bool mpi_arena_take_record(mpi_arena *arena, mpi_record_id id, uint32_t *cell);
/* Frees the thing with its last record. Nothing if it is gone already. */
void mpi_arena_drop_record(mpi_arena *arena, mpi_record_id id);
/* Whether it still is what it was: this kind and serial number. */
bool mpi_arena_has(const mpi_arena *arena, uint32_t cell, uint32_t kind,
                   uint32_t serial);
/* The process is dead: everything it had is given back, but for what it has
 * sent: that may still be received. MPI_NO_SENDER: that, too. */
void mpi_arena_bury(mpi_arena *arena, uint32_t process);

/* In share.c. */
void mpi_share_close_queue(mpi_share *share);
/* What mpos_word_queue() takes for the words of a cell. */
enum { MPI_QUEUE_KEY_SIZE = 48 };
void mpi_arena_queue_key(const mpi_arena *arena, uint32_t cell,
                         char key[MPI_QUEUE_KEY_SIZE]);
/* Whether the process that is in the table as this is alive. */
bool mpi_arena_is_alive(uint64_t identity);

#endif
