package measure

import "time"

// A Record is what each line of a file of results has. Numbers that a row or
// workload does not have are left out.
type Record struct {
	Workload   string  `json:"workload"`
	Row        string  `json:"row"`
	Value      float64 `json:"value"` // median over the rounds
	Unit       string  `json:"unit"`
	Min        float64 `json:"min"`
	Max        float64 `json:"max"`
	Ratio      float64 `json:"ratio,omitempty"` // to the kernel in the same round, median
	RatioMin   float64 `json:"ratio_min,omitempty"`
	RatioMax   float64 `json:"ratio_max,omitempty"`
	Rounds     int     `json:"rounds"`
	Errors     int     `json:"errors"`
	Date       string  `json:"date"` // RFC 3339, UTC
	Go         string  `json:"go"`
	System     string  `json:"system"`
	GOMAXPROCS int     `json:"gomaxprocs"`
	CPU        string  `json:"cpu"`
}

// appendRecords adds one line a summary to the file.
func appendRecords[S AnySample](path string, m Machine, at time.Time, summaries []Summary[S], complete func(Record, *Summary[S]) any) error {
	var records []any
	for i := range summaries {
		s := &summaries[i]
		records = append(records, complete(Record{
			Workload: s.Workload.Name, Row: s.Row.Name, Unit: s.Workload.Unit,
			Value: Digits(s.Value.Median), Min: Digits(s.Value.Min), Max: Digits(s.Value.Max),
			Ratio: Digits(s.Ratio.Median), RatioMin: Digits(s.Ratio.Min), RatioMax: Digits(s.Ratio.Max),
			Rounds: len(s.Samples), Errors: s.Errors,
			Date: at.UTC().Format(time.RFC3339), Go: m.Go, System: m.System, GOMAXPROCS: m.GOMAXPROCS, CPU: m.CPU,
		}, s))
	}
	return AppendLines(path, records)
}
