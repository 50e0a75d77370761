/* The reference load in C: GRPO on independent Bernoulli policies, std-scaled, plain steps.
 *
 * compare: Philox4x32-10 and g comparisons of 32-bit words per group.
 * invert:  the algorithm of grpolab.simulate: one 53-bit uniform per group, inversion of the
 *          binomial law, odds moved by a table. Both block the chains so that loops vectorise.
 * Usage: chains compare|invert CHAINS STEPS G RATE P0; prints seconds, processor seconds of all
 * threads, and the mean of p.
 */
#include <math.h>
#include <omp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define BLOCK 512
#define MAX_G 64

static inline void philox(uint32_t c[4], uint32_t k0, uint32_t k1) {
    for (int round = 0; round < 10; round++) {
        uint64_t p0 = (uint64_t)0xD2511F53u * c[0], p1 = (uint64_t)0xCD9E8D57u * c[2];
        uint32_t n0 = (uint32_t)(p1 >> 32) ^ c[1] ^ k0, n2 = (uint32_t)(p0 >> 32) ^ c[3] ^ k1;
        c[0] = n0;
        c[1] = (uint32_t)p1;
        c[2] = n2;
        c[3] = (uint32_t)p0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
}

static double compare(double *odds, long chains, long steps, int g, const double *factor) {
    double total = 0.0;
    #pragma omp parallel for schedule(static) reduction(+ : total)
    for (long low = 0; low < chains; low += BLOCK) {
        int n = chains - low < BLOCK ? (int)(chains - low) : BLOCK;
        uint32_t limit[BLOCK];
        int32_t count[BLOCK];
        for (long t = 0; t < steps; t++) {
            for (int i = 0; i < n; i++) {
                double x = odds[low + i];
                limit[i] = (uint32_t)(x / (1.0 + x) * 4294967295.0);
                count[i] = 0;
            }
            for (int call = 0; call < (g + 3) / 4; call++) {
                int left = g - 4 * call;
                for (int i = 0; i < n; i++) {
                    uint32_t c[4] = {(uint32_t)call, (uint32_t)t, (uint32_t)(low + i), 0};
                    philox(c, 1, 0);
                    int32_t hits = (c[0] < limit[i]);
                    hits += (left > 1) & (c[1] < limit[i]);
                    hits += (left > 2) & (c[2] < limit[i]);
                    hits += (left > 3) & (c[3] < limit[i]);
                    count[i] += hits;
                }
            }
            for (int i = 0; i < n; i++) odds[low + i] *= factor[count[i]];
        }
        for (int i = 0; i < n; i++) total += odds[low + i] / (1.0 + odds[low + i]);
    }
    return total / chains;
}

static double invert(double *odds, long chains, long steps, int g, const double *factor) {
    double total = 0.0, ratio[MAX_G];
    for (int k = 0; k < g; k++) ratio[k] = (g - k) / (k + 1.0);
    #pragma omp parallel for schedule(static) reduction(+ : total)
    for (long low = 0; low < chains; low += BLOCK) {
        int n = chains - low < BLOCK ? (int)(chains - low) : BLOCK;
        double u[2][BLOCK], small[BLOCK], term[BLOCK], sum[BLOCK];
        int64_t count[BLOCK], wrong = 0, right = 0;
        for (long t = 0; t < steps; t++) {
            if (t % 2 == 0)
                for (int i = 0; i < n; i++) {
                    uint32_t c[4] = {0, (uint32_t)(t / 2), (uint32_t)(low + i), 0};
                    philox(c, 1, 0);
                    u[0][i] = (double)((((uint64_t)c[0] << 32) | c[1]) >> 11) * 0x1p-53;
                    u[1][i] = (double)((((uint64_t)c[2] << 32) | c[3]) >> 11) * 0x1p-53;
                }
            for (int i = 0; i < n; i++) {
                double x = odds[low + i], q = 1.0 / (1.0 + x), p = x * q;
                small[i] = x < 1.0 ? x : 1.0 / x;
                term[i] = p > q ? p : q;
                sum[i] = 1.0;
                count[i] = 0;
            }
            for (int left = g; left > 0; left >>= 1) {
                if (left & 1)
                    for (int i = 0; i < n; i++) sum[i] *= term[i];
                if (left > 1)
                    for (int i = 0; i < n; i++) term[i] *= term[i];
            }
            for (int i = 0; i < n; i++) term[i] = sum[i];
            for (int k = 0; k < g; k++)
                for (int i = 0; i < n; i++) {
                    count[i] += u[t % 2][i] >= sum[i];
                    term[i] *= ratio[k] * small[i];
                    sum[i] += term[i];
                }
            for (int i = 0; i < n; i++) {
                double x = odds[low + i];
                int64_t rare = count[i] < g ? count[i] : g, k = x <= 1.0 ? rare : g - rare;
                wrong += k == 0;
                right += k == g;
                odds[low + i] = x * factor[k];
            }
        }
        for (int i = 0; i < n; i++) total += odds[low + i] / (1.0 + odds[low + i]);
        if (wrong + right > steps * (int64_t)n) abort(); /* keeps the tallies alive */
    }
    return total / chains;
}

static double cpu_time(void) {
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return now.tv_sec + 1e-9 * now.tv_nsec;
}

int main(int argc, char **argv) {
    if (argc != 7) return 2;
    long chains = atol(argv[2]), steps = atol(argv[3]);
    int g = atoi(argv[4]);
    double rate = atof(argv[5]), p0 = atof(argv[6]), factor[MAX_G + 1];
    if (g > MAX_G) return 2;
    for (int k = 0; k <= g; k++) factor[k] = exp(rate * sqrt((double)k * (g - k)) / g);
    double *odds = malloc(chains * sizeof *odds);
    for (long i = 0; i < chains; i++) odds[i] = p0 / (1.0 - p0);
    double start = omp_get_wtime(), cpu = cpu_time();
    double mean = (strcmp(argv[1], "compare") ? invert : compare)(odds, chains, steps, g, factor);
    printf("%.9f %.9f %.9f\n", omp_get_wtime() - start, cpu_time() - cpu, mean);
    free(odds);
    return 0;
}
